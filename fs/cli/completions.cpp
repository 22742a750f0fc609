// `arrayfs completions bash|zsh|fish`: what a shell needs to complete commands, options and paths.
//
// Made from the parser itself, so it knows whatever the command knows.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>

#include "commands.hpp"

namespace arrayfs {
namespace {

constexpr char kExamples[] = R"(
Examples:
  arrayfs completions bash > /usr/share/bash-completion/completions/arrayfs
  arrayfs completions zsh > /usr/share/zsh/vendor-completions/_arrayfs
  arrayfs completions fish > /usr/share/fish/vendor_completions.d/arrayfs.fish)";

struct Described {
  std::vector<std::string> names;  ///< `-l`, `--json`
  std::string description;
  bool takes_value = false;
};

std::vector<Described> options_of(const CLI::App& app) {
  std::vector<Described> options;
  for (const CLI::Option* option : app.get_options()) {
    Described described{{}, option->get_description(), option->get_items_expected_max() > 0};
    for (const std::string& name : option->get_snames()) {
      described.names.push_back("-" + name);
    }
    for (const std::string& name : option->get_lnames()) {
      described.names.push_back("--" + name);
    }
    if (!described.names.empty()) {
      options.push_back(std::move(described));
    }
  }
  return options;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const Described& option : options_of(app)) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

// Between single quotes of a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    out += c == '\'' ? "'\\''" : std::string(1, c);
  }
  return out + "'";
}

void print_bash(const CLI::App& app) {
  std::vector<std::string> names;
  std::string cases;
  for (const CLI::App* command : commands_of(app)) {
    names.push_back(command->get_name());
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(),
                         fmt::join(option_names(*command), " "));
  }
  std::cout << fmt::format(R"(# bash completion of arrayfs
_arrayfs() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='{} {}'
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{}  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=() ;;
  esac
}}
complete -o default -F _arrayfs arrayfs
)",
                           fmt::join(names, " "), fmt::join(option_names(app), " "), cases);
}

void print_zsh(const CLI::App& app) {
  // Within an entry a colon ends the name, within brackets the closing one the description.
  const auto escaped = [](std::string text, std::string_view special) {
    for (size_t at = 0; (at = text.find_first_of(special, at)) != std::string::npos; at += 2) {
      text.insert(at, 1, '\\');
    }
    return text;
  };
  std::string commands;
  std::string cases;
  for (const CLI::App* command : commands_of(app)) {
    commands += "    " +
                quoted(command->get_name() + ":" + escaped(command->get_description(), ":")) + "\n";
    cases += fmt::format("    {}) _arguments", command->get_name());
    for (const Described& option : options_of(*command)) {
      for (const std::string& name : option.names) {
        cases += " " + quoted(name + "[" + escaped(option.description, "[]:") + "]" +
                              (option.takes_value ? ":value:_files" : ""));
      }
    }
    cases += " '*:file:_files' ;;\n";
  }
  std::cout << fmt::format(R"(#compdef arrayfs
_arrayfs() {{
  local -a commands
  commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{}  esac
}}
if [ "$funcstack[1]" = _arrayfs ]; then
  _arrayfs "$@"
else
  compdef _arrayfs arrayfs
fi
)",
                           commands, cases);
}

void print_fish(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(app)) {
    names.push_back(command->get_name());
  }
  std::cout << "# fish completion of arrayfs\n";
  for (const CLI::App* command : commands_of(app)) {
    std::cout << fmt::format(
        "complete -c arrayfs -n 'not __fish_seen_subcommand_from {}' -f -a {} -d {}\n",
        fmt::join(names, " "), command->get_name(), quoted(command->get_description()));
    for (const Described& option : options_of(*command)) {
      std::cout << "complete -c arrayfs -n '__fish_seen_subcommand_from " << command->get_name()
                << "'";
      for (const std::string& name : option.names) {
        std::cout << (name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1));
      }
      std::cout << (option.takes_value ? " -r" : "") << " -d " << quoted(option.description)
                << '\n';
    }
  }
}

}  // namespace

void add_completions_command(CLI::App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completions", "Print what a shell needs to complete");
  command->footer(kExamples);
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, &app, &action] {
    action = [shell, &app]() -> shm::Result<void> {
      *shell == "bash" ? print_bash(app) : *shell == "zsh" ? print_zsh(app) : print_fish(app);
      return {};
    };
  });
}

}  // namespace arrayfs
