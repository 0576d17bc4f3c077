/* What the load generators share: clocks, processor times, latencies, and the command line's details.
 *
 * Each of them is one program of one source file, which defines PROGRAM and then includes this. They talk to
 * loopback addresses only: they are measuring instruments, not something to point at a network.
 */
#ifndef LOAD_H
#define LOAD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  EVENTS = 512,              /* that one epoll_wait() returns */
  LATENCY_BUCKETS = 2000000, /* one for each microsecond; what is slower lands in the last one */
};
static const double STALL_SECONDS = 30;

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs(PROGRAM ": ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

static inline void *must(void *allocated) {
  if (!allocated) die("out of memory");
  return allocated;
}

/* ---- time ------------------------------------------------------------------------------------------- */

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline double cpu_seconds(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* User and system time of another process, from /proc/PID/stat (proc(5)); 0 without one. */
static inline double server_cpu_seconds(int pid) {
  char name[64], line[1024];
  snprintf(name, sizeof name, "/proc/%d/stat", pid);
  FILE *file = pid ? fopen(name, "r") : NULL;
  if (!file) return 0;
  size_t n = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[n] = 0;
  /* The program's name may hold spaces and parentheses; field 3 follows its last one. */
  const char *rest = strrchr(line, ')');
  unsigned long user = 0, system = 0;
  if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) return 0;
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- latency ---------------------------------------------------------------------------------------- */

static uint32_t *latency; /* counts by microsecond */
static uint64_t latency_count;

static inline void record_latency(double seconds) {
  double us = seconds * 1e6;
  latency[us < LATENCY_BUCKETS ? (size_t)us : LATENCY_BUCKETS - 1]++;
  latency_count++;
}

static inline double percentile_ms(double share) {
  uint64_t wanted = (uint64_t)(share * (double)latency_count), seen = 0;
  for (size_t us = 0; us < LATENCY_BUCKETS; us++) {
    seen += latency[us];
    if (seen > wanted || (seen == latency_count && seen)) return (double)us / 1e3;
  }
  return 0;
}

static inline void print_latency(void) {
  printf(",\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f", percentile_ms(.5), percentile_ms(.9),
         percentile_ms(.99), percentile_ms(1));
}

/* ---- command line ----------------------------------------------------------------------------------- */

static inline double number(const char *text, char option, double least) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || value < least) die("-%c %s: a number of at least %g is needed", option, text, least);
  return value;
}

static inline struct sockaddr_in loopback(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("%s is no IPv4 address", host);
  if (ntohl(address.sin_addr.s_addr) >> 24 != 127) die("%s is not a loopback address", host);
  return address;
}

static inline void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

#endif
