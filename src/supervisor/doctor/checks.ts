/**
 * Everything `doctor` can find, in one table: how bad it is, what it means, and what mends it. A word in braces is filled
 * in with what was found. `docs/doctor.md` has the same rows; a test compares them.
 */
export type Severity = 'ok' | 'info' | 'warning' | 'error';

export interface Check {
  readonly severity: Severity;
  /** For the page. */
  readonly what: string;
  /** A command to copy, or what to do; absent: nothing needs to be done. */
  readonly mend?: string;
}

const MACHINE = {
  'machine.ok': { severity: 'ok', what: 'The program, its Node and the machine' },
  'machine.node_old': {
    severity: 'error',
    what: 'This Node is too old for the program',
    mend: 'install Node 20.19 or a later one',
  },
  'machine.sqlite': {
    severity: 'error',
    what: 'better-sqlite3 does not load: no agent could open its database',
    mend: 'npm rebuild better-sqlite3',
  },
  'machine.uws': {
    severity: 'info',
    what: 'uWebSockets.js does not load: agents are served by node:http, which is slower',
    mend: 'npm install --include=optional',
  },
  'machine.memory': {
    severity: 'warning',
    what: 'Less memory is free than agents at rest take',
    mend: 'run fewer agents, or free some memory',
  },
  'machine.files': {
    severity: 'warning',
    what: 'Fewer files may be open at once than the agents may need',
    mend: 'ulimit -n {count}',
  },
  'machine.inotify_watches': {
    severity: 'warning',
    what: 'The vaults have more folders than may be watched; half of what the system allows is used at most',
    mend: 'sudo sysctl fs.inotify.max_user_watches={count}',
  },
  'machine.inotify_instances': {
    severity: 'warning',
    what: "The user's programs have nearly as many watchers as they may",
    mend: 'sudo sysctl fs.inotify.max_user_instances={count}',
  },
  'machine.code_cache': {
    severity: 'info',
    what: 'The compiled code is of another Node: starts compile it anew',
    mend: 'start the agents once: the cache is made then',
  },
  'machine.clock': {
    severity: 'warning',
    what: 'Files are from the future: the clock was set back, or was wrong',
    mend: 'date; timedatectl status',
  },
  'fleet.version': {
    severity: 'info',
    what: 'A fleet that runs is of another version than this program',
    mend: 'stop it, and start it with this version',
  },
  'permissions.run_directory': {
    severity: 'warning',
    what: 'Others may look into the directory in which fleets announce themselves',
    mend: 'chmod 700 {path}',
  },
  'leftover.socket': {
    severity: 'info',
    what: 'A fleet that was killed is still announced',
    mend: 'rm -f {path}',
  },
} as const satisfies Record<string, Check>;

const CONFIGURATION = {
  'agent.ok': { severity: 'ok', what: 'Nothing is wrong with the agent' },
  'directory.missing': {
    severity: 'error',
    what: 'The directory does not exist',
    mend: 'openagent-supervisor init {path}',
  },
  'directory.not_agent': {
    severity: 'error',
    what: 'The directory has no `openagent.yaml`',
    mend: 'openagent-supervisor init {path}',
  },
  'directory.id_duplicate': {
    severity: 'error',
    what: 'Two directories have the same base name, which is the id',
    mend: 'mv {path} {path}-2',
  },
  'config.invalid': {
    severity: 'error',
    what: '`openagent.yaml` is no YAML, or a value in it is wrong: the agent does not start',
    mend: 'edit {place}',
  },
  'config.unreadable': {
    severity: 'error',
    what: '`openagent.yaml` cannot be read',
    mend: 'ls -l {path}',
  },
  'config.variable_missing': {
    severity: 'error',
    what: `\`\${NAME}\` is used and not set, where the agent runs or here`,
    mend: 'export {name}=…',
  },
  'config.doubtful': {
    severity: 'warning',
    what: 'An unknown key, a key given twice, a setting without effect',
    mend: 'edit {place}',
  },
  'bind.public_without_token': {
    severity: 'error',
    what: 'Other machines could reach the agent and no token is set: it does not start',
    mend: 'edit {place}',
  },
  'bind.host_unknown': {
    severity: 'error',
    what: '`host` is no address of this machine',
    mend: 'edit {place}',
  },
  'program.missing': {
    severity: 'warning',
    what: 'A program or script of an MCP server, of `transcription` or of `tools.shell` is not there',
    mend: 'edit {place}, or install {name}',
  },
  'bridge.missing': {
    severity: 'warning',
    what: 'A section of `channels` has no module in `bridges/`',
    mend: 'write {path}, or remove {place}',
  },
} as const satisfies Record<string, Check>;

const RUN = {
  'port.range_full': {
    severity: 'error',
    what: 'All ports that the agent may take are taken',
    mend: 'edit {place}',
  },
  'port.taken': {
    severity: 'info',
    what: "Another program has the agent's preferred port: it takes the next free one",
  },
  'port.shared': {
    severity: 'info',
    what: 'Several agents prefer the same port: they take those from it on, in the order in which they start',
  },
  'port.stale': {
    severity: 'info',
    what: 'The agent does not run, and `.port` still names a port: its last run was killed',
    mend: 'rm -f {path}',
  },
  'lock.held': {
    severity: 'info',
    what: 'A supervisor that runs has the agent; another one could not start it',
  },
  'lock.stale': {
    severity: 'info',
    what: 'The last supervisor was killed. That is fine: the lock went with it, the file is overwritten',
  },
  'lock.elsewhere': {
    severity: 'warning',
    what: 'Another machine has the agent, or had it: locks do not reach across network file systems',
    mend: 'stop the agent there before it is started here',
  },
  'leftover.temporary': {
    severity: 'info',
    what: 'Something was ended while it wrote, and left half a file',
    mend: 'rm -rf {path}',
  },
  'leftover.children': {
    severity: 'warning',
    what: 'Programs of the agent have outlived it; its next start ends them',
    mend: 'kill -9 {pids}',
  },
  'leftover.crumb': {
    severity: 'info',
    what: 'The last run was killed, and this is what it was doing; the next start tidies up',
  },
} as const satisfies Record<string, Check>;

const STATE = {
  'permissions.directory': {
    severity: 'warning',
    what: "Others may look into the agent's directory",
    mend: 'chmod 700 {path}',
  },
  'permissions.secrets': {
    severity: 'error',
    what: 'Others may read `openagent.yaml`, and secrets stand in it',
    mend: 'chmod 600 {path}',
  },
  'permissions.file': {
    severity: 'warning',
    what: 'Others may read the configuration, the database or the log',
    mend: 'chmod go= {paths}',
  },
  'permissions.file_covered': {
    severity: 'info',
    what: 'The same, but the directory keeps others out',
    mend: 'chmod go= {paths}',
  },
  'permissions.owner': {
    severity: 'warning',
    what: 'Files of the agent belong to somebody else',
    mend: 'sudo chown -R {owner} {path}',
  },
  'directory.unwritable': {
    severity: 'error',
    what: 'This user may not write into the directory',
    mend: 'chmod u+rwx {path}',
  },
  'disk.read_only': {
    severity: 'error',
    what: 'The file system is read-only',
    mend: 'mount -o remount,rw {path}',
  },
  'disk.full': { severity: 'error', what: 'No room is left: nothing can be accepted', mend: 'df -h {path}' },
  'disk.low': {
    severity: 'warning',
    what: 'Less room is left than `limits.upload_reserve_bytes`: uploads are refused',
    mend: 'df -h {path}',
  },
  'disk.inodes': {
    severity: 'error',
    what: 'The file system has hardly any files left to give',
    mend: 'df -i {path}',
  },
  'database.newer': {
    severity: 'error',
    what: 'A newer version wrote the database: this one cannot open it',
    mend: 'npm install --global openagent-supervisor',
  },
  'database.behind': {
    severity: 'info',
    what: 'An older version wrote the database: the next start brings it up to date, and older ones cannot open it then',
    mend: 'openagent-supervisor backup {path} {path}.tar.gz',
  },
  'database.damaged': {
    severity: 'error',
    what: 'The database is no SQLite file, or was cut off',
    mend: 'openagent-supervisor restore <backup.tar.gz> {path}-restored',
  },
  'database.wal_large': {
    severity: 'warning',
    what: 'The log of the database is large: a program that reads it keeps it from shrinking',
    mend: 'lsof {path}',
  },
  'log.large': {
    severity: 'warning',
    what: 'The log is larger than `logging.rotate_bytes` and `keep_files` allow',
    mend: 'du -sh {path}/*',
  },
  'vault.folders': {
    severity: 'warning',
    what: 'A vault has more folders than are watched: it is looked through every half minute',
    mend: 'du --inodes -d 2 {path}',
  },
  'vault.link': {
    severity: 'warning',
    what: 'A symbolic link in a vault leads to notes or to a folder: links are not followed, so these are not there',
    mend: 'move {target} to where the link is, and link to it from where it was',
  },
} as const satisfies Record<string, Check>;

export const CHECKS = { ...MACHINE, ...CONFIGURATION, ...RUN, ...STATE } as const;

export type CheckCode = keyof typeof CHECKS;
