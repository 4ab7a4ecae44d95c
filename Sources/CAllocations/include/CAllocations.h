#pragma once

/// Calls so far in this process that asked for heap memory, on all threads. What links this module has its calls
/// of malloc and its relatives counted, whoever makes them.
long allocation_count(void);
