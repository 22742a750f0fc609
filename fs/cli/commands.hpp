// The commands of `arrayfs`, one file each: every function adds its sub-command to the parser.
//
// When the sub-command is chosen, its callback puts what is to be done into `action`; main() runs
// it after parsing and turns its error into one line on stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <shm/error.hpp>

namespace arrayfs {

using Action = std::function<shm::Result<void>()>;

void add_mount_command(CLI::App& app, Action& action);
void add_resume_command(CLI::App& app, Action& action);
void add_upgrade_command(CLI::App& app, Action& action);
void add_umount_command(CLI::App& app, Action& action);
void add_create_command(CLI::App& app, Action& action);
void add_lock_command(CLI::App& app, Action& action);
void add_log_command(CLI::App& app, Action& action);
void add_ls_command(CLI::App& app, Action& action);
void add_info_command(CLI::App& app, Action& action);
void add_show_command(CLI::App& app, Action& action);
void add_stats_command(CLI::App& app, Action& action);
void add_plot_command(CLI::App& app, Action& action);
void add_transfer_commands(CLI::App& app, Action& action);  ///< import and export
void add_seal_commands(CLI::App& app, Action& action);      ///< seal and unseal
void add_wait_commands(CLI::App& app, Action& action);      ///< wait and notify
void add_status_command(CLI::App& app, Action& action);
void add_doctor_command(CLI::App& app, Action& action);
void add_top_command(CLI::App& app, Action& action);
void add_completions_command(CLI::App& app, Action& action);
void add_manual_command(CLI::App& app, Action& action);

}  // namespace arrayfs
