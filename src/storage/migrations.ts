/**
 * The numbered steps that bring any `openagent.db` up to date: an empty file, one written by the reference at 0.5.16
 * (whose tables are kept as they are), or one of an earlier version of ours. `PRAGMA user_version` holds the last step
 * taken. A step that has been released is never edited; a new one is added.
 */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    name: 'the tables of the reference',
    sql: `
      CREATE TABLE IF NOT EXISTS scheduled_tasks (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, cron_expression TEXT NOT NULL, prompt TEXT NOT NULL,
        enabled INTEGER NOT NULL DEFAULT 1, last_run REAL, next_run REAL,
        created_at REAL NOT NULL, updated_at REAL NOT NULL);
      CREATE INDEX IF NOT EXISTS idx_scheduled_tasks_enabled ON scheduled_tasks(enabled);
      CREATE INDEX IF NOT EXISTS idx_scheduled_tasks_next_run ON scheduled_tasks(next_run);
      CREATE TABLE IF NOT EXISTS usage_log (
        id TEXT PRIMARY KEY, timestamp REAL NOT NULL, model TEXT NOT NULL, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, cost REAL NOT NULL, session_id TEXT, year_month TEXT NOT NULL);
      CREATE INDEX IF NOT EXISTS idx_usage_log_year_month ON usage_log(year_month);
      CREATE INDEX IF NOT EXISTS idx_usage_log_timestamp ON usage_log(timestamp);
      CREATE TABLE IF NOT EXISTS sdk_sessions (
        session_id TEXT PRIMARY KEY, sdk_session_id TEXT NOT NULL, provider TEXT, updated_at REAL NOT NULL);
      CREATE INDEX IF NOT EXISTS idx_sdk_sessions_updated_at ON sdk_sessions(updated_at);
    `,
  },
  {
    // session_id has no type on purpose: clients of the reference may send numbers and null, and get them back.
    // `open` is 1 until nothing is left to do for the turn (it ended, and its terminal frame was delivered or has
    // nobody to go to), so a start reads only what a crash left behind.
    name: 'the turn journal',
    sql: `
      CREATE TABLE boots (boot INTEGER PRIMARY KEY, started_at REAL NOT NULL, version TEXT NOT NULL);
      CREATE TABLE turns (
        id INTEGER PRIMARY KEY,
        session_id,
        client_key TEXT NOT NULL,
        message_id TEXT,
        text TEXT,
        attachments TEXT,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        effects INTEGER NOT NULL DEFAULT 0,
        accepted_at REAL NOT NULL,
        ended_at REAL,
        outcome TEXT,
        open INTEGER NOT NULL DEFAULT 1);
      CREATE INDEX turns_open ON turns(id) WHERE open = 1;
      CREATE UNIQUE INDEX turns_message ON turns(client_key, message_id) WHERE message_id IS NOT NULL;
      CREATE TABLE journal_marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    `,
  },
  {
    // session_id has no type for the reason given above.
    name: 'files received and produced',
    sql: `
      CREATE TABLE files (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        origin TEXT NOT NULL,
        type TEXT NOT NULL,
        path TEXT NOT NULL,
        filename TEXT NOT NULL,
        session_id,
        turn_id TEXT,
        created_at REAL NOT NULL);
      CREATE INDEX files_turn ON files(turn_id) WHERE turn_id IS NOT NULL;
    `,
  },
  {
    // What the reference's usage_log has no column for, one row for each of ours there. cost_usd is null where nobody
    // knows the price (usage_log then says 0). The marks hold which of a budget's events have been told.
    name: 'what model calls were, and what budgets have told',
    sql: `
      CREATE TABLE usage_calls (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        turn_id TEXT,
        duration_ms INTEGER NOT NULL,
        cost_usd REAL,
        cost_source TEXT NOT NULL,
        estimated INTEGER NOT NULL,
        cache_read_tokens INTEGER,
        cache_write_tokens INTEGER,
        reasoning_tokens INTEGER,
        error_code TEXT) WITHOUT ROWID;
      CREATE TABLE budget_marks (
        period TEXT NOT NULL,
        budget REAL NOT NULL,
        percent INTEGER NOT NULL,
        told_at REAL NOT NULL,
        PRIMARY KEY (period, budget, percent)) WITHOUT ROWID;
    `,
  },
  {
    // One row of turn_steps for each model step that has ended; what is in it is never asked of the model again. A call
    // has a row of tool_calls from before it acts. turn_deltas: what clients with `resume` were sent of the answer.
    // sessions.session is the session's id as JSON, so that 5 and "5" are two.
    name: 'steps of turns, and what sessions remember',
    sql: `
      CREATE TABLE turn_steps (
        turn_id INTEGER NOT NULL,
        step INTEGER NOT NULL,
        text TEXT NOT NULL,
        calls TEXT NOT NULL,
        provider_data TEXT,
        model TEXT,
        last_seq INTEGER NOT NULL,
        ended_at REAL NOT NULL,
        PRIMARY KEY (turn_id, step)) WITHOUT ROWID;
      CREATE TABLE tool_calls (
        turn_id INTEGER NOT NULL,
        step INTEGER NOT NULL,
        position INTEGER NOT NULL,
        call_id TEXT NOT NULL,
        name TEXT NOT NULL,
        input TEXT NOT NULL,
        effect TEXT NOT NULL,
        started_at REAL,
        ended_at REAL,
        answer TEXT,
        is_error INTEGER,
        PRIMARY KEY (turn_id, step, position)) WITHOUT ROWID;
      CREATE TABLE turn_deltas (
        turn_id INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        text TEXT NOT NULL,
        void_after INTEGER,
        PRIMARY KEY (turn_id, seq)) WITHOUT ROWID;
      CREATE TABLE sessions (
        session TEXT PRIMARY KEY,
        client_key TEXT,
        model TEXT,
        title TEXT,
        cut_after INTEGER NOT NULL DEFAULT 0,
        summary TEXT,
        summary_to INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL) WITHOUT ROWID;
      CREATE INDEX sessions_client ON sessions(client_key);
      CREATE INDEX sessions_updated ON sessions(updated_at);
      CREATE TABLE session_turns (
        session TEXT NOT NULL,
        turn_id INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        messages TEXT NOT NULL,
        ended_at REAL NOT NULL,
        PRIMARY KEY (session, turn_id)) WITHOUT ROWID;
    `,
  },
  {
    // What the reference's scheduled_tasks has no column for. `zone` is the one that next_run was computed in. A run is
    // written together with its task's next_run, before its turn exists; its id is the turn's idempotency key, so that
    // a start after a crash may submit it again. `prompt` is kept until the run has ended.
    name: 'how scheduled tasks run, and how they ran',
    sql: `
      CREATE TABLE task_settings (
        task_id TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        timezone TEXT,
        missed TEXT,
        zone TEXT,
        last_state TEXT,
        last_code TEXT) WITHOUT ROWID;
      CREATE TABLE task_runs (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        task_id TEXT NOT NULL,
        cause TEXT NOT NULL,
        prompt TEXT,
        due_at REAL NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        state TEXT NOT NULL,
        code TEXT,
        turn_id TEXT,
        text TEXT);
      CREATE INDEX task_runs_task ON task_runs(task_id, seq);
      CREATE INDEX task_runs_open ON task_runs(seq) WHERE ended_at IS NULL;
    `,
  },
  {
    // What is written when a turn is accepted, when it ends and when it is closed stands in three places, each of which
    // grows at its end: a commit then writes few pages, however many turns it is about. `begun`: a model may have been
    // called. turn_outcomes: with `model` the text of a plain answer, without it the terminal frame as it was sent.
    // turns_closed: ranges of ids; what lies between them is open.
    name: 'outcomes beside their turns',
    sql: `
      ALTER TABLE turns RENAME TO turns_before;
      DROP INDEX turns_open;
      DROP INDEX turns_message;
      CREATE TABLE turns (
        id INTEGER PRIMARY KEY,
        session_id,
        client_key TEXT NOT NULL,
        message_id TEXT,
        text TEXT,
        attachments TEXT,
        begun INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        effects INTEGER NOT NULL DEFAULT 0,
        accepted_at REAL NOT NULL);
      CREATE TABLE turn_outcomes (
        id INTEGER PRIMARY KEY,
        state TEXT NOT NULL,
        ended_at REAL NOT NULL,
        model TEXT,
        outcome TEXT);
      CREATE TABLE turns_closed (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
      INSERT INTO turns
        SELECT id, session_id, client_key, message_id, text, attachments, state <> 'accepted', attempts, effects,
          accepted_at FROM turns_before ORDER BY id;
      INSERT INTO turn_outcomes
        SELECT id, state, ended_at, NULL, outcome FROM turns_before WHERE ended_at IS NOT NULL ORDER BY id;
      INSERT INTO turns_closed VALUES (0, 0);
      INSERT INTO turns_closed
        SELECT min(id), max(id) FROM (
          SELECT id, open, row_number() OVER (ORDER BY id) - row_number() OVER (PARTITION BY open ORDER BY id) AS run
          FROM turns_before)
        WHERE open = 0 GROUP BY run;
      DROP TABLE turns_before;
      CREATE UNIQUE INDEX turns_message ON turns(client_key, message_id) WHERE message_id IS NOT NULL;
    `,
  },
  {
    // Of requests that remember nothing: listed nowhere, and removed once no turn of theirs is left.
    name: 'sessions of one request',
    sql: 'CREATE TABLE one_off_sessions (session TEXT PRIMARY KEY) WITHOUT ROWID;',
  },
  {
    // Of those, what nobody can ask for a second time: their request came without a key.
    name: 'sessions of one request that has no key',
    sql: 'ALTER TABLE one_off_sessions ADD COLUMN is_lost_with_request INTEGER NOT NULL DEFAULT 0;',
  },
];
