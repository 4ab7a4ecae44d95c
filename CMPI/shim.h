// MPI's C interface for Swift, the same whatever MPI it is built with.
//
// Open MPI's handles are pointers; those of MPICH, Intel MPI and Cray MPICH are integers. Swift would see two different
// interfaces. So each kind of handle is inside a struct here, and each function that takes handles has one of the same
// name that takes those structs. The standard's constants are macros with casts, which Swift cannot import; they have
// accessors, or are inside the functions.
#ifndef FAN_DIST_CMPI_SHIM_H
#define FAN_DIST_CMPI_SHIM_H

#include <mpi.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
  MPI_Comm handle;
} cmpi_comm;
typedef struct {
  MPI_Datatype handle;
} cmpi_datatype;
typedef struct {
  MPI_Op handle;
} cmpi_op;
typedef struct {
  MPI_Request handle;
} cmpi_request;
typedef struct {
  MPI_Win handle;
} cmpi_win;

static inline cmpi_comm cmpi_comm_world(void) { return (cmpi_comm){MPI_COMM_WORLD}; }
static inline cmpi_comm cmpi_comm_null(void) { return (cmpi_comm){MPI_COMM_NULL}; }
static inline cmpi_request cmpi_request_null(void) { return (cmpi_request){MPI_REQUEST_NULL}; }
static inline cmpi_win cmpi_win_null(void) { return (cmpi_win){MPI_WIN_NULL}; }

static inline cmpi_datatype cmpi_byte(void) { return (cmpi_datatype){MPI_BYTE}; }
static inline cmpi_datatype cmpi_float(void) { return (cmpi_datatype){MPI_FLOAT}; }
static inline cmpi_datatype cmpi_double(void) { return (cmpi_datatype){MPI_DOUBLE}; }
static inline cmpi_datatype cmpi_int64(void) { return (cmpi_datatype){MPI_INT64_T}; }
static inline cmpi_datatype cmpi_uint64(void) { return (cmpi_datatype){MPI_UINT64_T}; }

static inline cmpi_op cmpi_sum(void) { return (cmpi_op){MPI_SUM}; }
static inline cmpi_op cmpi_max(void) { return (cmpi_op){MPI_MAX}; }
static inline cmpi_op cmpi_min(void) { return (cmpi_op){MPI_MIN}; }

// Errors of calls with this communicator are returned.
static inline int cmpi_comm_return_errors(cmpi_comm comm) {
  return MPI_Comm_set_errhandler(comm.handle, MPI_ERRORS_RETURN);
}
static inline int cmpi_abort(cmpi_comm comm, int code) { return MPI_Abort(comm.handle, code); }

static inline int cmpi_comm_rank(cmpi_comm comm, int *rank) { return MPI_Comm_rank(comm.handle, rank); }
static inline int cmpi_comm_size(cmpi_comm comm, int *size) { return MPI_Comm_size(comm.handle, size); }
static inline int cmpi_comm_split(cmpi_comm comm, int colour, int key, cmpi_comm *new_comm) {
  return MPI_Comm_split(comm.handle, colour, key, &new_comm->handle);
}
// Into communicators of the ranks that can share memory.
static inline int cmpi_comm_split_shared(cmpi_comm comm, int key, cmpi_comm *new_comm) {
  return MPI_Comm_split_type(comm.handle, MPI_COMM_TYPE_SHARED, key, MPI_INFO_NULL, &new_comm->handle);
}
static inline int cmpi_comm_free(cmpi_comm *comm) { return MPI_Comm_free(&comm->handle); }

static inline int cmpi_barrier(cmpi_comm comm) { return MPI_Barrier(comm.handle); }
static inline int cmpi_bcast(void *buffer, int count, cmpi_datatype datatype, int root, cmpi_comm comm) {
  return MPI_Bcast(buffer, count, datatype.handle, root, comm.handle);
}
static inline int cmpi_allreduce_in_place(void *buffer, int count, cmpi_datatype datatype, cmpi_op op,
                                          cmpi_comm comm) {
  return MPI_Allreduce(MPI_IN_PLACE, buffer, count, datatype.handle, op.handle, comm.handle);
}
static inline int cmpi_alltoallv(const void *send, const int *send_counts, const int *send_starts, void *receive,
                                 const int *receive_counts, const int *receive_starts, cmpi_datatype datatype,
                                 cmpi_comm comm) {
  return MPI_Alltoallv(send, send_counts, send_starts, datatype.handle, receive, receive_counts, receive_starts,
                       datatype.handle, comm.handle);
}
static inline int cmpi_allgatherv_in_place(void *buffer, const int *counts, const int *starts, cmpi_datatype datatype,
                                           cmpi_comm comm) {
  return MPI_Allgatherv(MPI_IN_PLACE, 0, datatype.handle, buffer, counts, starts, datatype.handle, comm.handle);
}
static inline int cmpi_iallreduce(const void *send, void *receive, int count, cmpi_datatype datatype, cmpi_op op,
                                  cmpi_comm comm, cmpi_request *request) {
  return MPI_Iallreduce(send, receive, count, datatype.handle, op.handle, comm.handle, &request->handle);
}
static inline int cmpi_test(cmpi_request *request, int *is_done) {
  return MPI_Test(&request->handle, is_done, MPI_STATUS_IGNORE);
}

static inline int cmpi_win_allocate_shared(MPI_Aint size, cmpi_comm comm, void **base, cmpi_win *win) {
  return MPI_Win_allocate_shared(size, 1, MPI_INFO_NULL, comm.handle, base, &win->handle);
}
// Where the memory of a rank of the window is.
static inline int cmpi_win_shared_query(cmpi_win win, int rank, void **base) {
  MPI_Aint size = 0;
  int unit = 0;
  return MPI_Win_shared_query(win.handle, rank, &size, &unit, base);
}
// Access to the memory of all ranks; no rank locks any of it.
static inline int cmpi_win_lock_all(cmpi_win win) { return MPI_Win_lock_all(MPI_MODE_NOCHECK, win.handle); }
static inline int cmpi_win_unlock_all(cmpi_win win) { return MPI_Win_unlock_all(win.handle); }
static inline int cmpi_win_sync(cmpi_win win) { return MPI_Win_sync(win.handle); }
static inline int cmpi_win_free(cmpi_win *win) { return MPI_Win_free(&win->handle); }

// The cores that a thread may run on, one bit each: what launchers bind ranks with. glibc's functions for it take
// a type made of macros. The first returns the number of bytes it has written; both less than 0 on failure.
static inline long cmpi_get_cores(int thread, unsigned char *mask, size_t byteCount) {
  return syscall(SYS_sched_getaffinity, thread, byteCount, mask);
}
static inline long cmpi_set_cores(int thread, const unsigned char *mask, size_t byteCount) {
  return syscall(SYS_sched_setaffinity, thread, byteCount, mask);
}

#endif
