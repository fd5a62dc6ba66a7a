// Package direct reads and writes sockets that do not block by system calls that the scheduler is not told of: it would look after threads that
// are in the system every 20 microseconds, and give their work to others, which costs more than such a call takes. Errors are syscall.Errno,
// EAGAIN and EINTR included; a count is below 0 with an error.
package direct
