// MPI's C interface for Swift. The standard's constants are macros with casts, which Swift cannot import: each
// has an accessor here, named after it.
#ifndef FAN_DIST_CMPI_SHIM_H
#define FAN_DIST_CMPI_SHIM_H

#include <mpi.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline MPI_Comm cmpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm cmpi_comm_null(void) { return MPI_COMM_NULL; }
static inline MPI_Request cmpi_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Status *cmpi_status_ignore(void) { return MPI_STATUS_IGNORE; }
static inline MPI_Info cmpi_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_Errhandler cmpi_errors_return(void) { return MPI_ERRORS_RETURN; }
static inline const void *cmpi_in_place(void) { return MPI_IN_PLACE; }
static inline int cmpi_undefined(void) { return MPI_UNDEFINED; }

static inline MPI_Datatype cmpi_byte(void) { return MPI_BYTE; }
static inline MPI_Datatype cmpi_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype cmpi_double(void) { return MPI_DOUBLE; }
static inline MPI_Datatype cmpi_int64(void) { return MPI_INT64_T; }
static inline MPI_Datatype cmpi_uint64(void) { return MPI_UINT64_T; }

static inline MPI_Op cmpi_sum(void) { return MPI_SUM; }
static inline MPI_Op cmpi_max(void) { return MPI_MAX; }
static inline MPI_Op cmpi_min(void) { return MPI_MIN; }

// The cores that a thread may run on, one bit each: what launchers bind ranks with. glibc's functions for it take
// a type made of macros. The first returns the number of bytes it has written; both less than 0 on failure.
static inline long cmpi_get_cores(int thread, unsigned char *mask, size_t byteCount) {
  return syscall(SYS_sched_getaffinity, thread, byteCount, mask);
}
static inline long cmpi_set_cores(int thread, const unsigned char *mask, size_t byteCount) {
  return syscall(SYS_sched_setaffinity, thread, byteCount, mask);
}

#endif
