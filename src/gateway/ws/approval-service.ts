/** What the WebSocket half of the gateway asks of the approvals: calls of tools that wait for a person. */
export interface ApprovalService {
  /** What waits, as frames, for a client that has just said that it can answer. */
  open(): readonly string[];
  /** False: there is no such question any more. `by` is for the log. */
  decide(approvalId: string, decision: 'allow' | 'deny', by: string): boolean;
}
