// The command `arrayfs`: parses, runs one action, and says in one line what went wrong.
#include <cstdio>
#include <exception>

#include "commands.hpp"
#include "version.hpp"

namespace {

constexpr char kDescription[] =
    "Shared n-dimensional arrays as .npy files: any process maps the same memory.";

constexpr char kExamples[] = R"help(
Examples:
  arrayfs mount /mnt/arrays --size 8G
  python3 -c "import numpy as np; np.save('/mnt/arrays/w.npy', np.eye(1000))"
  arrayfs ls /mnt/arrays
  arrayfs info /mnt/arrays/w.npy
  arrayfs umount /mnt/arrays

arrayfs COMMAND --help tells more. Exit status: 0 done, 1 failed, 2 usage.)help";

// 2 for usage errors, 0 for --help and --version.
int parse_status(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {
    return app.exit(error);
  }
  std::fprintf(stderr, "arrayfs: %s; see arrayfs --help\n", error.what());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    CLI::App app(kDescription, "arrayfs");
    app.footer(kExamples);
    app.set_version_flag("--version", std::string("arrayfs ") + arrayfs::kVersion);
    app.require_subcommand(1);
    arrayfs::Action action;
    arrayfs::add_mount_command(app, action);
    arrayfs::add_resume_command(app, action);
    arrayfs::add_umount_command(app, action);
    arrayfs::add_upgrade_command(app, action);
    arrayfs::add_create_command(app, action);
    arrayfs::add_lock_command(app, action);
    arrayfs::add_log_command(app, action);
    arrayfs::add_ls_command(app, action);
    arrayfs::add_info_command(app, action);
    arrayfs::add_show_command(app, action);
    arrayfs::add_stats_command(app, action);
    arrayfs::add_plot_command(app, action);
    arrayfs::add_transfer_commands(app, action);
    arrayfs::add_seal_commands(app, action);
    arrayfs::add_wait_commands(app, action);
    arrayfs::add_status_command(app, action);
    arrayfs::add_doctor_command(app, action);
    arrayfs::add_top_command(app, action);
    arrayfs::add_completions_command(app, action);
    arrayfs::add_manual_command(app, action);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return parse_status(app, error);
    }
    if (const auto done = action(); !done) {
      std::fprintf(stderr, "arrayfs: %s\n", shm::to_string(done.error()).c_str());
      return 1;
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "arrayfs: %s\n", error.what());
    return 1;
  }
}
