// headstart completion: scripts for bash, zsh and fish, made from the tree of subcommands and options, so that they cannot fall behind it.
#include <fmt/format.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cli.h"
#include "options.h"
#include "output.h"

namespace headstart::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headstart completion bash > ~/.local/share/bash-completion/completions/headstart\n"
    "  headstart completion zsh > \"${fpath[1]}/_headstart\"\n"
    "  headstart completion fish > ~/.config/fish/completions/headstart.fish";

enum class Shell { kBash, kZsh, kFish };
constexpr Choice<Shell> kShells[] = {{"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}};

std::vector<const CLI::App*> commands(const CLI::App& app) {
  const auto found = app.get_subcommands([](const CLI::App*) { return true; });
  return {found.begin(), found.end()};
}

std::vector<std::string> flags(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

// Inside single quotes.
std::string quoted(std::string text) {
  for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) text.replace(at, 1, "'\\''");
  return "'" + text + "'";
}

// zsh reads the same script through its bash emulation.
std::string bash_script(const CLI::App& app) {
  std::ostringstream values;
  std::ostringstream options;
  std::string names;
  for (const CLI::App* command : commands(app)) {
    names += command->get_name() + " ";
    std::string all;
    for (const CLI::Option* option : command->get_options()) {
      const std::vector<std::string> words = choice_words(*option);
      for (const std::string& flag : flags(*option)) {
        all += flag + " ";
        if (!words.empty()) values << fmt::format("    {}:{}) words='{}' ;;\n", command->get_name(), flag, CLI::detail::join(words, " "));
        if (words.empty() && takes_value(*option)) values << fmt::format("    {}:{}) ;;\n", command->get_name(), flag);
      }
      if (flags(*option).empty() && !words.empty()) all += CLI::detail::join(words, " ") + " ";
    }
    options << fmt::format("        {}) words='{}' ;;\n", command->get_name(), all);
  }
  return fmt::format(
      "_headstart() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" previous=\"${{COMP_WORDS[COMP_CWORD-1]}}\" command=\"${{COMP_WORDS[1]}}\" words=''\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    words='{}--help --version'\n"
      "  else\n"
      "    case \"$command:$previous\" in\n{}"
      "    *)\n"
      "      case \"$command\" in\n{}"
      "      esac ;;\n"
      "    esac\n"
      "  fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}}\n"
      "complete -o default -F _headstart headstart\n",
      names, values.str(), options.str());
}

std::string zsh_script(const CLI::App& app) {
  return "#compdef headstart\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(app);
}

std::string fish_script(const CLI::App& app) {
  std::ostringstream out;
  for (const CLI::App* command : commands(app)) {
    out << fmt::format("complete -c headstart -n __fish_use_subcommand -f -a {} -d {}\n", command->get_name(),
                       quoted(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      const std::string words = CLI::detail::join(choice_words(*option), " ");
      std::string line = fmt::format("complete -c headstart -n '__fish_seen_subcommand_from {}'", command->get_name());
      for (const std::string& name : option->get_snames()) line += " -s " + name;
      for (const std::string& name : option->get_lnames()) line += " -l " + name;
      if (!words.empty()) line += fmt::format(" -x -a '{}'", words);
      if (words.empty() && takes_value(*option)) line += " -r";
      if (!words.empty() || option->nonpositional()) out << line << " -d " << quoted(option->get_description()) << "\n";
    }
  }
  return out.str();
}

std::string script(const CLI::App& app, Shell shell) {
  switch (shell) {
    case Shell::kBash:
      return bash_script(app);
    case Shell::kZsh:
      return zsh_script(app);
    case Shell::kFish:
      return fish_script(app);
  }
  return "";
}

}  // namespace

void add_completion(CLI::App& app, Context& context) {
  CLI::App* const command = add_command(app, context, "completion", "Print the completion script of a shell", kExamples);
  const auto shell = std::make_shared<Shell>(Shell::kBash);
  add_choice(*command, "SHELL", *shell, kShells, "bash, zsh or fish")->required();
  command->callback([&app, shell, &context] { context.action = [&app, shell] { Output().write(script(app, *shell)); }; });
}

}  // namespace headstart::cli
