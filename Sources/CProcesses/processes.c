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

/// The child's part of `process_start`, in the memory of its parent, which waits. Returns an errno if there is no such
/// program.
static int become(char *const arguments[], pid_t parent, sigset_t mask, int output) {
  setpgid(0, 0);
  const int handled[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP, SIGPIPE};
  for (int i = 0; i < 5; i++) {
    struct sigaction now, standard = {.sa_handler = SIG_DFL};
    sigaction(handled[i], NULL, &now);
    // After nohup, HUP stays ignored. This program ignores PIPE for itself only.
    if (now.sa_handler != SIG_IGN || handled[i] == SIGPIPE) sigaction(handled[i], &standard, NULL);
    sigdelset(&mask, handled[i]);
  }
  prctl(PR_SET_PDEATHSIG, SIGUSR1);
  // The parent may have ended before that.
  if (getppid() != parent) _exit(75);
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing >= 0) dup2(nothing, 0);
  if (output >= 0 && (dup2(output, 1) < 0 || dup2(output, 2) < 0)) return errno;
  sigprocmask(SIG_SETMASK, &mask, NULL);
  execvp(arguments[0], arguments);
  return errno;
}

pid_t process_start(char *const arguments[], int output) {
  // No handler of this process may run in the child, which shares its memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  volatile int problem = 0;
  // Not fork: OpenBLAS then ends its threads, and a product on another thread would wait for them for ever.
  pid_t child = vfork();
  if (child == 0) {
    problem = become(arguments, parent, before, output);
    _exit(127);
  }
  if (child < 0) problem = errno;
  else if (problem != 0) waitpid(child, NULL, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = problem;
  return problem == 0 ? child : -1;
}
