#include "processor.h"

#include <string.h>
#include <unistd.h>

#include "compiled_for.h"

// This module is compiled for every 64-bit processor.

#ifdef __x86_64__

/// The first instructions that the program needs and the processor does not have; NULL if it has all.
static const char *missing(void) {
  __builtin_cpu_init();
  if ((compiled_for & needs_avx2) && !__builtin_cpu_supports("avx2")) return "AVX2";
  if ((compiled_for & needs_fma) && !__builtin_cpu_supports("fma")) return "FMA";
  if ((compiled_for & needs_bmi2) && !__builtin_cpu_supports("bmi2")) return "BMI2";
  if ((compiled_for & needs_avx512) && !__builtin_cpu_supports("avx512f")) return "AVX-512";
  if ((compiled_for & needs_sse42) && !__builtin_cpu_supports("sse4.2")) return "SSE4.2";
  return NULL;
}

static void say(const char *text) { (void)!write(2, text, strlen(text)); }

/// Goes on as the build for older processors that a package has beside this program; returns if there is none.
static void run_older_build(char **arguments, char **environment) {
  static const char suffix[] = "-x86-64-v2";
  char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof suffix);
  if (length <= 0 || length == sizeof path - sizeof suffix) return;
  memcpy(path + length, suffix, sizeof suffix);
  execve(path, arguments, environment);
}

void processor_require(int count, char **arguments, char **environment) {
  const char *instructions = missing();
  if (instructions == NULL) return;
  run_older_build(arguments, environment);
  say("fan-dist: this processor does not have ");
  say(instructions);
  say(", for which this program was compiled; build it again with FAN_DIST_MARCH=native on such a machine, or with "
      "FAN_DIST_MARCH=x86-64 for all\n");
  _exit(71);
}

#else

void processor_require(int count, char **arguments, char **environment) {}

#endif

// Before the constructors of libraries and all code of ours.
__attribute__((section(".preinit_array"), used)) static void (*const at_start)(int, char **, char **) = processor_require;
