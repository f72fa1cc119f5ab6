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
];
