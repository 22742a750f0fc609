// `arrayfs manual`: the part of arrayfs(1) that tells of the commands, for the build of that page.
//
// Made from the parser itself, in the language of man(7).
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include "commands.hpp"

namespace arrayfs {
namespace {

// As it is, in a line of its own or within one.
std::string literal(const std::string& text) {
  std::string out = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (const char c : text) {
    out += c == '\\' ? "\\e" : c == '-' ? "\\-" : c == '\'' ? "\\(aq" : std::string(1, c);
  }
  return out;
}

// What stands for the value: `a|b|c` where there is a choice, otherwise the option's name.
std::string value_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) {
    return {};
  }
  const std::string type = option.get_type_name();
  if (const size_t begin = type.find('{'); begin != std::string::npos) {
    std::string choice = type.substr(begin + 1, type.find('}') - begin - 1);
    std::ranges::replace(choice, ',', '|');
    return choice;
  }
  std::string name = option.get_lnames().empty() ? "value" : option.get_lnames().front();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

void print_option(const CLI::Option& option) {
  std::string names;
  for (const auto& [dashes, list] :
       {std::pair("\\-", option.get_snames()), std::pair("\\-\\-", option.get_lnames())}) {
    for (const std::string& name : list) {
      names += (names.empty() ? "\\fB" : ", \\fB") + (dashes + literal(name)) + "\\fR";
    }
  }
  if (names.empty()) {
    names = "\\fI" + literal(option.get_name(true)) + "\\fR";
  } else if (const std::string value = value_of(option); !value.empty()) {
    names += " \\fI" + literal(value) + "\\fR";
  }
  std::cout << ".TP\n" << names << '\n' << literal(option.get_description()) << '\n';
}

std::string synopsis(const CLI::App& command) {
  std::string line = "\\fBarrayfs " + command.get_name() + "\\fR [\\fIOPTIONS\\fR]";
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) {
      const std::string name = "\\fI" + literal(option->get_name(true)) + "\\fR" +
                               (option->get_items_expected_max() > 1 ? "..." : "");
      line += option->get_required() ? " " + name : " [" + name + "]";
    }
  }
  return line;
}

// What follows the options of `--help`: examples and remarks, line by line.
void print_footer(const CLI::App& command) {
  std::istringstream lines(command.get_footer());
  bool indented = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) {
      continue;
    }
    if (line.starts_with("  ") != indented) {
      indented = !indented;
      std::cout << (indented ? ".RS\n.nf\n" : ".fi\n.RE\n");
    }
    std::cout << (line == "Examples:" ? ".PP\n" : "") << literal(indented ? line.substr(2) : line)
              << '\n';
  }
  std::cout << (indented ? ".fi\n.RE\n" : "");
}

void print_command(const CLI::App& command) {
  std::cout << ".SS " << synopsis(command) << '\n' << literal(command.get_description()) << ".\n";
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional() || option != command.get_help_ptr()) {
      print_option(*option);
    }
  }
  print_footer(command);
}

}  // namespace

void add_manual_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("manual", "")->group("");  // for the build alone
  command->callback([&app, &action] {
    action = [&app]() -> shm::Result<void> {
      for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (!each->get_group().empty()) {
          print_command(*each);
        }
      }
      return {};
    };
  });
}

}  // namespace arrayfs
