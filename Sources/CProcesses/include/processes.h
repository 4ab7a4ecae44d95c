#pragma once
#include <sys/types.h>

/// Makes signals that ask the program to stop wait from now on: USR1, TERM, INT and HUP. They are delivered when they are
/// unblocked, also after the program has replaced itself.
void signals_hold(void);

/// Starts a program in a process group of its own, without input. The program gets USR1 when the calling thread ends,
/// however it ends. Signals that the caller holds are not held there.
///
/// - Parameters:
///   - arguments: its words, ending with NULL; the first one is looked up in PATH unless it has a slash.
///   - output: an open file for its output and its errors; -1 for those of this process.
/// - Returns: its number, or -1 with errno.
pid_t process_start(char *const arguments[], int output);
