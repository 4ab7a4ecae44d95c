#pragma once

/// Linking this module makes a program look, before anything else, whether the processor has the instructions that it
/// was compiled for. If not, the build for older processors beside it takes its place: the file with its name and
/// -x86-64-v2. Without one it says what is missing and ends with 71 instead of with SIGILL.
void processor_require(int count, char **arguments, char **environment);
