#define _GNU_SOURCE
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static sigset_t stops(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

void signals_hold(void) {
  sigset_t set = stops();
  sigprocmask(SIG_BLOCK, &set, NULL);
}

// Before the constructors of libraries, which take tens of milliseconds: a signal then would end the program as if
// nobody handled it.
__attribute__((section(".preinit_array"), used)) static void (*const hold_early)(void) = signals_hold;

/// The child's part of `process_start`: only what POSIX allows between fork and exec.
static void become(char *const arguments[], pid_t parent, int output, int report) {
  setpgid(0, 0);
  sigset_t set = stops();
  struct sigaction standard = {.sa_handler = SIG_DFL};
  sigaction(SIGUSR1, &standard, NULL);
  sigaction(SIGTERM, &standard, NULL);
  sigaction(SIGINT, &standard, NULL);
  sigaction(SIGPIPE, &standard, NULL);
  prctl(PR_SET_PDEATHSIG, SIGUSR1);
  // The parent may have ended before that.
  if (getppid() != parent) _exit(75);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, 0);
  if (output >= 0 && (dup2(output, 1) < 0 || dup2(output, 2) < 0)) _exit(127);
  execvp(arguments[0], arguments);
  int problem = errno;
  (void)!write(report, &problem, sizeof problem);
  _exit(127);
}

pid_t process_start(char *const arguments[], int output) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -1;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) become(arguments, parent, output, report[1]);
  int problem = child < 0 ? errno : 0;
  close(report[1]);
  // Nothing to read means that the program has taken the child's place.
  ssize_t count;
  if (child > 0) do count = read(report[0], &problem, sizeof problem);
    while (count < 0 && errno == EINTR);
  close(report[0]);
  if (child > 0 && problem != 0) waitpid(child, NULL, 0);
  errno = problem;
  return problem == 0 ? child : -1;
}
