// Starts the headstart program and looks at what it does: exit code, standard output, standard error, on pipes or on a pseudo-terminal.
//
// Thread-safety: a Process belongs to one thread. Every wait has a deadline; at the deadline the program is killed and the wait throws.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace headstart::test {

struct Streams {
  std::string input;               // given to standard input, then closed
  bool keep_input_open = false;    // standard input stays silent after `input`
  bool error_on_terminal = false;  // standard error is a pseudo-terminal
  bool output_on_terminal = false;
  bool input_on_terminal = false;  // standard input is the terminal that standard output is on
  int columns = 80;
  int rows = 24;
  bool close_output_early = false;                               // the reader of standard output goes away after its first bytes
  std::vector<std::pair<std::string, std::string>> environment;  // beside a minimal one
  std::vector<std::string> before;                               // a command that runs the program: "ip netns exec …"
  std::string folder = ".";                                      // that it works in
};

struct Outcome {
  int exit_code = -1;  // -1: ended by `signal`
  int signal = 0;
  std::string out, err;
};

class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, const Streams& streams = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Reads on until standard error (or, with a terminal, what is on it) holds `text`. False when the program ended without it.
  bool wait_for_error_text(const std::string& text);
  // The same of standard output.
  bool wait_for_output_text(const std::string& text);
  // Standard error so far.
  const std::string& error_text() const { return err_text_; }
  // Types on the terminal of standard input.
  void type(const std::string& text) const;
  // Whether that terminal shows what is typed.
  bool echoes() const;
  void send_signal(int signal) const;
  Outcome finish();

 private:
  // Reads once; false when both streams have ended.
  bool read_some();
  pid_t child_ = -1;
  bool close_output_early_;
  int in_ = -1, out_ = -1, err_ = -1;
  std::string out_text_, err_text_;
};

Outcome run(const std::vector<std::string>& arguments, const Streams& streams = {});

}  // namespace headstart::test
