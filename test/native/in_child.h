#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "check.h"

namespace flow {

/// What `answer()` returns in a child process. A process asks for a driver only once, so a test of another driver needs
/// a process of its own. The calling process must not have asked for one.
template <class Answer>
std::string in_child(const Answer& answer) {
  std::array<int, 2> ends{};
  check::that(pipe(ends.data()) == 0, "no pipe");
  const pid_t child = fork();
  check::that(child >= 0, "no child");
  if (child == 0) {
    const std::string text = answer();
    const bool written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = read(ends[0], buffer.data(), buffer.size())) > 0;) text.append(buffer.data(), n);
  close(ends[0]);
  int status = 0;
  check::that(waitpid(child, &status, 0) == child && status == 0, "the child ended with ", status);
  return text;
}

}  // namespace flow
