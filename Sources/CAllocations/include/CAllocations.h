#pragma once

/// The number of calls so far in this process, on all threads, that asked for heap memory. Linking this
/// module makes all calls of malloc and its relatives count, including those of libraries.
long allocation_count(void);
