/**
 * What makes a shell complete our command lines: each script asks the program, and takes its answer as text. Ids of
 * agents are names of directories, so nothing that is completed may ever be run or expanded by the shell: no `eval` of
 * what was typed, no `compgen -W` over what was answered. (Scripts that completion libraries bring do both.)
 *
 * The answer: a line `value<tab>description` for each candidate, then `:files`, `:directories` or `:nothing`.
 */
import type { Shell } from '../command-options.ts';

const BASH = `# bash completion for openagent-supervisor; bash 4.4 or newer, nothing else
_openagent_supervisor() {
  local IFS=$' \\t\\n' tab=$'\\t' wanted=:nothing glue= line word typed kept
  local -a words=()
  # Bash takes words apart at = and :, the program does not.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ ( "$word" == [=:]* || -n "$glue" ) && \${#words[@]} -gt 0 ]]; then words[-1]+=$word; else words+=("$word"); fi
    case "$word" in *[=:]) glue=1 ;; *) glue= ;; esac
  done
  typed="\${words[-1]}"
  kept="\${typed%"\${typed##*[=:]}"}"
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :files | :directories | :nothing) wanted=$line ;;
      *)
        printf -v word '%q' "\${line%%"$tab"*}"
        word="\${word#"$kept"}"
        COMPREPLY+=("\${word//\\\\,/,}")
        ;;
    esac
  done < <(openagent-supervisor complete -- "\${words[@]}" 2>/dev/null)
  case "$wanted" in
    :files) compopt -o filenames && mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "\${typed#"$kept"}") ;;
    :directories) compopt -o filenames && mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "\${typed#"$kept"}") ;;
  esac
}
complete -F _openagent_supervisor openagent-supervisor
`;

const ZSH = `#compdef openagent-supervisor
# zsh completion for openagent-supervisor
_openagent_supervisor() {
  local line wanted=:nothing tab=$'\\t'
  local -a values shown
  while IFS= read -r line; do
    case "$line" in
      :files | :directories | :nothing) wanted=$line ;;
      *)
        values+=("\${line%%$tab*}")
        shown+=("\${line//$tab/  -- }")
        ;;
    esac
  done < <(openagent-supervisor complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#values} )) && compadd -l -d shown -a -- values
  case "$wanted" in
    :files) _files ;;
    :directories) _files -/ ;;
  esac
}
if [[ "\${funcstack[1]}" == _openagent_supervisor ]]; then
  _openagent_supervisor "$@"
else
  compdef _openagent_supervisor openagent-supervisor
fi
`;

const FISH = `# fish completion for openagent-supervisor
function __openagent_supervisor
    set -l words (commandline -opc)[2..-1]
    set -l current (commandline -ct)
    for line in (openagent-supervisor complete -- $words "$current" 2>/dev/null)
        switch $line
            case :nothing
            case :files
                __fish_complete_path "$current"
            case :directories
                __fish_complete_directories "$current"
            case '*'
                printf '%s\\n' $line
        end
    end
end
complete -c openagent-supervisor -f -a '(__openagent_supervisor)'
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

export function shellScript(shell: Shell): string {
  return SCRIPTS[shell];
}
