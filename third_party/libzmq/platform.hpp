// Configuration of libzmq for Linux with glibc 2.35 on x86_64 and aarch64, in place of the header that its own build generates.
#ifndef KRABBY_LIBZMQ_PLATFORM_HPP
#define KRABBY_LIBZMQ_PLATFORM_HPP

#define ZMQ_HAVE_LINUX

// Input and output multiplexing.
#define ZMQ_IOTHREAD_POLLER_USE_EPOLL
#define ZMQ_IOTHREAD_POLLER_USE_EPOLL_CLOEXEC
#define ZMQ_POLL_BASED_ON_POLL

// Threads and memory.
#define ZMQ_USE_CV_IMPL_STL11
#define ZMQ_CACHELINE_SIZE 64
#define HAVE_POSIX_MEMALIGN 1
#define HAVE_FORK
#define HAVE_CLOCK_GETTIME
#define HAVE_MKDTEMP

// Sockets.
#define ZMQ_HAVE_ACCEPT4
#define ZMQ_HAVE_EVENTFD
#define ZMQ_HAVE_EVENTFD_CLOEXEC
#define ZMQ_HAVE_IFADDRS
#define ZMQ_HAVE_IPC
#define ZMQ_HAVE_O_CLOEXEC
#define ZMQ_HAVE_SOCK_CLOEXEC
#define ZMQ_HAVE_SO_BINDTODEVICE
#define ZMQ_HAVE_SO_KEEPALIVE
#define ZMQ_HAVE_SO_PEERCRED
#define ZMQ_HAVE_SO_PRIORITY
#define HAVE_STRNLEN 1
#define ZMQ_HAVE_STRUCT_SOCKADDR_UN
#define ZMQ_HAVE_TCP_KEEPCNT
#define ZMQ_HAVE_TCP_KEEPIDLE
#define ZMQ_HAVE_TCP_KEEPINTVL
#define ZMQ_HAVE_UIO

// CURVE, with libsodium.
#define ZMQ_HAVE_CURVE
#define ZMQ_USE_LIBSODIUM

#endif
