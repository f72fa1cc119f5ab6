/** What the handlers of the fleet gateway's routes work with. Types only. */

import type { Clock } from '../../contract/clock.ts';
import type { FleetLimits } from '../../contract/fleet/fleet-limits.ts';
import type { Fleet } from '../../contract/fleet/schemas.ts';
import type { EventRing } from './event-ring.ts';
import type { LogEntries } from './log-entries.ts';
import type { Metrics } from './metrics.ts';
import type { FleetPhase, SupervisedFleet } from './supervised-fleet.ts';

export interface FleetServices {
  readonly clock: Clock;
  readonly limits: FleetLimits;
  readonly fleet: SupervisedFleet;
  readonly events: EventRing;
  readonly logs: LogEntries;
  readonly info: () => Omit<Fleet, 'agents'>;
  readonly phase: () => FleetPhase;
  /** Was once; also while it stops. */
  readonly hasSettled: () => boolean;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
}
