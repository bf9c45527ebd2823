import { Argument, type Command } from 'commander';
import type { Run } from './program.js';

/** Completion of command names and options, made from the commands themselves. */
export function completionCommand(program: Command, run: Run): void {
  const command = program
    .command('completion')
    .description('print a completion script: source <(waymark completion bash)')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']));
  command.action(
    run(async () => {
      const shell = command.processedArgs[0] as 'bash' | 'zsh' | 'fish';
      process.stdout.write({ bash, zsh, fish }[shell](program));
    }),
  );
}

function names(program: Command): string[] {
  return program.commands.map((command) => command.name());
}

function own(command: Command): string[] {
  return command.options.flatMap((option) => (option.long === undefined ? [] : [option.long]));
}

/** And what stands below it: its own commands, and their options. */
function options(command: Command): string[] {
  const below = command.commands.flatMap((one) => [one.name(), ...options(one)]);
  return [...new Set([...below, ...own(command)])];
}

function bash(program: Command): string {
  const cases = program.commands.map(
    (command) => `    ${command.name()}) words="${options(command).join(' ')}" ;;`,
  );
  return `_waymark() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=""
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    *) words="${[...names(program), ...own(program)].join(' ')}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _waymark waymark
`;
}

function zsh(program: Command): string {
  const commands = program.commands.map(
    (command) => `    '${command.name()}:${quote(command.description())}'`,
  );
  const cases = program.commands.map(
    (command) => `    ${command.name()}) compadd -- ${options(command).join(' ')} ;;`,
  );
  return `#compdef waymark
_waymark() {
  local -a commands
  commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[2] in
${cases.join('\n')}
  esac
}
compdef _waymark waymark
`;
}

function fish(program: Command): string {
  const lines = program.commands.flatMap((command) => {
    const name = command.name();
    const seen = `-n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c waymark -f -n __fish_use_subcommand -a ${name} -d '${quote(command.description())}'`,
      ...command.options.flatMap(({ long, description }) =>
        long === undefined
          ? []
          : [`complete -c waymark ${seen} -l ${long.slice(2)} -d '${quote(description)}'`],
      ),
    ];
  });
  return `${lines.join('\n')}\n`;
}

function quote(text: string): string {
  return text.replaceAll("'", '').replaceAll(':', ' -');
}
