/* pollload: Engine.IO sessions over HTTP long-polling, cheap enough for the server to be the bottleneck.
 *
 * One process, one thread, one epoll loop.  A cycle is one message there and its echo back: a POST with the
 * message, and a GET whose answer has the echo.  Every connection is kept alive.  The result is one JSON object on
 * stdout; see usage() for the rest.
 */
#define _GNU_SOURCE
#define PROGRAM "pollload"
#include "load.h"

enum {
  MAX_ID = 64,
  MAX_ANSWERS = 512, /* bytes of packets that a session owes the server: pongs */
  MAX_REQUEST = 4096,
  MAX_RESPONSE = 16384,
};
static const double PING_SECONDS = 20; /* revision 3 lets the client ping; servers expect it every 25 s */
static const double ANSWER_SECONDS = 10; /* for the server to answer the goodbye of a session */

/* What Chromium sends with a poll of a page on another origin of the same host. */
static const char BROWSER_HEADERS[] =
    "Connection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n"
    "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"140\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Accept: */*\r\n"
    "Origin: http://127.0.0.1:8000\r\n"
    "Sec-Fetch-Site: same-site\r\n"
    "Sec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\n"
    "Referer: http://127.0.0.1:8000/chat\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\n";

enum mode { ECHO, AWAY, HELD };
static const char *const MODES[] = {"echo", "away", "held"};

static struct {
  enum mode mode;
  const char *host, *path, *payload, *headers;
  bool apart;
  int port, pid, sessions, revision, handshakes;
  double seconds, warmup, hold;
} opt = {.host = "127.0.0.1",
         .path = "/primus/",
         .payload = "\"hello world, this is a message\"",
         .headers = "",
         .sessions = 50,
         .revision = 4,
         .handshakes = 64,
         .seconds = 5,
         .warmup = 1,
         .hold = 3600};

typedef struct Session Session;

/* One connection; at most one request is under way on it. */
typedef struct {
  Session *session;
  int fd; /* 0: not open */
  enum { IDLE, OPENING, POLLING, POSTING } state;
  char *in;
  int in_len;
} Link;

struct Session {
  char id[MAX_ID];
  Link poll, post;       /* `post` is used with opt.apart only */
  bool sent, echoed;     /* the message of this cycle has been sent; has come back */
  double sent_at, pinged_at;
  char answers[MAX_ANSWERS]; /* encoded packets that go with the next POST */
  int answers_len;
};

static Session *sessions;
static int poller, begun, ready, under_way, lost; /* under_way: sessions whose cycle is not complete */
static struct sockaddr_in server;
static bool loading, measuring;
static uint64_t cycles, requests;
static char message[MAX_REQUEST / 2]; /* encoded */

/* ---- requests --------------------------------------------------------------------------------------- */

static void send_all(int fd, const char *bytes, int n) {
  if (send(fd, bytes, (size_t)n, MSG_NOSIGNAL) != n) die("send: %s", strerror(errno));
}

__attribute__((format(printf, 2, 3))) static int put(char *to, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(to, MAX_REQUEST, format, args);
  va_end(args);
  if (n >= MAX_REQUEST) die("a request is too long");
  return n;
}

static void send_get(Link *link) {
  const Session *s = link->session;
  char request[MAX_REQUEST];
  int n = put(request, "GET %s?EIO=%d&transport=polling%s%s HTTP/1.1\r\nHost: %s:%d\r\n%s\r\n", opt.path, opt.revision,
              *s->id ? "&sid=" : "", s->id, opt.host, opt.port, opt.headers);
  link->state = *s->id ? POLLING : OPENING;
  send_all(link->fd, request, n);
}

static void send_post(Link *link, const char *body) {
  char request[MAX_REQUEST];
  int n = put(request,
              "POST %s?EIO=%d&transport=polling&sid=%s HTTP/1.1\r\nHost: %s:%d\r\n%s"
              "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
              opt.path, opt.revision, link->session->id, opt.host, opt.port, opt.headers, strlen(body), body);
  link->state = POSTING;
  send_all(link->fd, request, n);
}

/* ---- packets ---------------------------------------------------------------------------------------- */

/* Writes packets (there may be some already) and one more behind them. Revision 3 counts characters, and all of
 * ours are ASCII; revision 4 puts 0x1E between packets. Returns the length of all. */
static int append_packet(char *to, int used, int room, char type, const char *data, int n) {
  int wrote = opt.revision == 3 ? snprintf(to + used, (size_t)(room - used), "%d:%c%.*s", n + 1, type, n, data)
                                : snprintf(to + used, (size_t)(room - used), "%s%c%.*s", used ? "\x1e" : "", type, n, data);
  if (wrote >= room - used) die("too many packets for one request");
  return used + wrote;
}

static void owe(Session *s, char type, const char *data, int n) {
  s->answers_len = append_packet(s->answers, s->answers_len, MAX_ANSWERS, type, data, n);
}

static void on_message(Session *s, const char *data, int n) {
  static const char ping[] = "\"primus::ping::";
  if (n > (int)sizeof ping && !memcmp(data, ping, sizeof ping - 1)) {
    char pong[128];
    int length = snprintf(pong, sizeof pong, "%.*s", n, data);
    pong[sizeof "\"primus::p" - 1] = 'o';
    owe(s, '4', pong, length);
    return;
  }
  if (n != (int)strlen(opt.payload) || memcmp(data, opt.payload, (size_t)n)) die("not our message: %.*s", n, data);
  if (!s->sent || s->echoed) die("an echo too many");
  s->echoed = true;
}

static void on_packet(Session *s, const char *packet, int n) {
  if (n < 1) die("an empty packet");
  switch (packet[0]) {
    case '1': die("the server closed a session");
    case '2': owe(s, '3', "", 0); break; /* revision 4 only */
    case '4': on_message(s, packet + 1, n - 1); break;
    default: break; /* pong, noop */
  }
}

/* One packet after the other. In revision 3 each has its length before it, as text or, in engine.io 1, in bytes:
 * 0 or 1, one byte for each digit, 255. */
static void on_payload(Session *s, const char *p, const char *end) {
  while (p < end) {
    int n = 0;
    if (opt.revision == 4) {
      const char *next = memchr(p, 0x1e, (size_t)(end - p));
      n = (int)((next ? next : end) - p);
      on_packet(s, p, n);
      p += n + 1;
      continue;
    }
    if (*p <= 1) {
      for (p++; p < end && *p >= 0 && *p <= 9; p++) n = n * 10 + *p;
    } else {
      for (; p < end && *p >= '0' && *p <= '9'; p++) n = n * 10 + *p - '0';
    }
    p++; /* 255 or a colon */
    if (n > end - p) die("a packet was cut off");
    on_packet(s, p, n);
    p += n;
  }
}

/* ---- sessions --------------------------------------------------------------------------------------- */

static void open_link(Link *link, Session *s) {
  link->session = s;
  link->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (link->fd < 0) die("socket: %s (is the limit on open files too low?)", strerror(errno));
  int one = 1;
  setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(link->fd, (struct sockaddr *)&server, sizeof server)) die("connect: %s", strerror(errno));
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = link};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, link->fd, &e)) die("epoll_ctl: %s", strerror(errno));
  link->in = must(malloc(MAX_RESPONSE));
}

static void close_link(Link *link) {
  close(link->fd);
  free(link->in);
  *link = (Link){0};
}

static void open_next(void) {
  Session *s = &sessions[begun++];
  s->sent_at = s->pinged_at = now();
  open_link(&s->poll, s);
  send_get(&s->poll);
}

/* Sends what there is to send, if the connection for it is free. */
static void post_next(Session *s, double t) {
  Link *link = opt.apart ? &s->post : &s->poll;
  if (link->state != IDLE) return;
  if (s->sent && s->echoed) {
    if (measuring) {
      cycles++;
      record_latency(t - s->sent_at);
    }
    under_way--;
    s->sent = s->echoed = false;
  }
  bool sends = opt.mode == ECHO && loading && !s->sent;
  if (!sends && !s->answers_len) return;
  if (opt.revision == 3 && t - s->pinged_at > PING_SECONDS) {
    owe(s, '2', "", 0);
    s->pinged_at = t;
  }
  if (sends) {
    under_way++;
    s->sent = true;
    s->sent_at = t;
  }
  if (!s->answers_len) {
    send_post(link, message);
    return;
  }
  if (sends) owe(s, '4', opt.payload, (int)strlen(opt.payload));
  send_post(link, s->answers);
  s->answers_len = 0;
}

static void on_opened(Session *s, const char *body, const char *end) {
  const char *id = memmem(body, (size_t)(end - body), "\"sid\":\"", 7);
  if (!id) die("no session in the answer: %.*s", (int)(end - body), body);
  size_t n = strcspn(id + 7, "\"");
  if (n >= MAX_ID) die("the session's id is too long");
  memcpy(s->id, id + 7, n);
  ready++;
  if (opt.mode == AWAY)
    close_link(&s->poll);
  else if (opt.mode == HELD)
    send_get(&s->poll);
  if (begun < opt.sessions) open_next();
}

static void on_answer(Link *link, const char *body, const char *end) {
  Session *s = link->session;
  int state = link->state;
  if (measuring) requests++;
  link->state = IDLE;
  if (state == OPENING) {
    on_opened(s, body, end);
    return;
  }
  if (state == POLLING) {
    on_payload(s, body, end);
    if (opt.apart) send_get(&s->poll); /* first, as a browser does: there is always one that waits */
  }
  /* On the only connection a message's POST is followed by a GET, and the next POST by the message's echo. */
  if (opt.apart || state == POLLING) post_next(s, now());
  if (s->poll.state == IDLE) send_get(&s->poll);
}

/* ---- responses -------------------------------------------------------------------------------------- */

/* Moves the pieces of a chunked body together. Returns its end, or NULL when it is not complete. */
static char *unchunk(char *body, const char *end) {
  char *to = body, *p = body;
  for (;;) {
    char *line = memmem(p, (size_t)(end - p), "\r\n", 2);
    if (!line) return NULL;
    long size = strtol(p, NULL, 16);
    p = line + 2;
    if (end - p < size + 2) return NULL;
    if (!size) return to;
    memmove(to, p, (size_t)size);
    to += size;
    p += size + 2;
  }
}

/* Where the body ends, with `*body` at its begin; NULL when it is not complete. The response ends with a 0. */
static char *body_end(Link *link, char **body) {
  char *end = link->in + link->in_len, *head_end = strstr(link->in, "\r\n\r\n");
  if (!head_end) return NULL;
  *body = head_end + 4;
  for (char *line = strstr(link->in, "\r\n"); line < head_end; line = strstr(line + 2, "\r\n")) {
    if (!strncasecmp(line + 2, "content-length:", 15)) {
      char *last = *body + strtol(line + 17, NULL, 10);
      if (last < end) die("more than one response:\n%s", link->in);
      return last == end ? last : NULL;
    }
    if (!strncasecmp(line + 2, "transfer-encoding:", 18)) {
      /* Its pieces are moved only once all are there: the last one is "0". */
      return end - *body >= 5 && !memcmp(end - 5, "0\r\n\r\n", 5) ? unchunk(*body, end) : NULL;
    }
  }
  die("a response without a length:\n%s", link->in);
}

static void on_lost(Link *link) {
  if (opt.mode == ECHO || link->state == OPENING) die("the server closed a connection:\n%.*s", link->in_len, link->in);
  close_link(link); /* whether the session is lost too is found out at the end */
}

static void on_readable(Link *link) {
  int room = MAX_RESPONSE - 1 - link->in_len;
  if (!room) die("a response is too long:\n%.*s", link->in_len, link->in);
  ssize_t n = recv(link->fd, link->in + link->in_len, (size_t)room, 0);
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) {
    on_lost(link);
    return;
  }
  link->in_len += (int)n;
  link->in[link->in_len] = 0;
  char *body = NULL, *end = body_end(link, &body);
  if (!end) return;
  if (strncmp(link->in, "HTTP/1.1 200", 12)) die("not the answer that was expected:\n%s", link->in);
  link->in_len = 0;
  on_answer(link, body, end);
}

/* ---- the loop --------------------------------------------------------------------------------------- */

static bool all_ready(void) { return ready == opt.sessions; }

static bool none_under_way(void) { return !under_way; }

/* Runs for at most `seconds`; ends early when `done` says so, or when stdin closes. */
static void run(double seconds, bool (*done)(void)) {
  struct epoll_event events[EVENTS];
  double end = now() + seconds;
  for (double t = now(); t < end; t = now()) {
    int n = epoll_wait(poller, events, EVENTS, (int)((end - t) * 1e3) + 1);
    if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
      char ignored[256];
      if (events[i].data.ptr)
        on_readable(events[i].data.ptr);
      else if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
        return;
    }
    if (done && done()) return;
  }
}

static void open_all(void) {
  while (begun < opt.sessions && begun < opt.handshakes) open_next();
  run(STALL_SECONDS, all_ready);
  if (!all_ready()) die("%d of %d sessions are open after %.0f s", ready, opt.sessions, STALL_SECONDS);
}

static void measure(double *elapsed, double *cpu, double *server_cpu) {
  loading = true;
  for (Session *s = sessions; s < sessions + opt.sessions; s++) {
    if (opt.apart) {
      open_link(&s->post, s);
      send_get(&s->poll);
    }
    post_next(s, now());
  }
  run(opt.warmup, NULL);
  measuring = true;
  double start = now(), cpu_start = cpu_seconds(), server_start = server_cpu_seconds(opt.pid);
  run(opt.seconds, NULL);
  *elapsed = now() - start;
  *cpu = (cpu_seconds() - cpu_start) / *elapsed;
  *server_cpu = (server_cpu_seconds(opt.pid) - server_start) / *elapsed;
  if (!cycles) die("no echo came back in %.1f s", *elapsed);
  loading = measuring = false;
  run(STALL_SECONDS, none_under_way);
  if (under_way) die("%d messages were not echoed in %.0f s", under_way, STALL_SECONDS);
}

/* Waits for the end of stdin, then ends every session: one whose goodbye is refused was lost before. */
static void hold(void) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e) && errno != EPERM) die("stdin: %s", strerror(errno));
  run(opt.hold, NULL);
  char goodbye[16];
  append_packet(goodbye, 0, sizeof goodbye, '1', "", 0);
  struct timeval limit = {.tv_sec = (time_t)ANSWER_SECONDS};
  for (Session *s = sessions; s < sessions + opt.sessions; s++) {
    char answer[MAX_RESPONSE];
    bool held = opt.mode == AWAY || s->poll.fd;
    open_link(&s->post, s);
    setsockopt(s->post.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    send_post(&s->post, goodbye);
    ssize_t n = recv(s->post.fd, answer, sizeof answer, 0);
    if (!held || n < 12 || memcmp(answer, "HTTP/1.1 200", 12)) lost++;
    close_link(&s->post);
  }
}

/* ---- command line ----------------------------------------------------------------------------------- */

static void usage(FILE *to) {
  fputs("usage: pollload -p PORT [option]... MODE\n"
        "\n"
        "modes\n"
        "  echo  every session has one message under way and expects it back\n"
        "  away  opens the sessions and closes their connections, prints the result, then waits until stdin closes or\n"
        "        HOLD is over, and prints how many sessions the server had closed by then\n"
        "  held  the same, with a poll of each session waiting\n"
        "\n"
        "options\n"
        "  -h HOST        a loopback address (127.0.0.1)\n"
        "  -p PORT        the server's port; needed\n"
        "  -P PID         the server's process, to report how much of a core it used\n"
        "  -u PATH        of the sessions (/primus/)\n"
        "  -e REVISION    of Engine.IO, 3 or 4 (4)\n"
        "  -c SESSIONS    how many (50)\n"
        "  -k HANDSHAKES  how many of them are being opened at a time (64)\n"
        "  -a             polls and POSTs apart, on two connections of each session, so that a poll always waits;\n"
        "                 without it they take turns on one\n"
        "  -b             send the headers that a browser sends\n"
        "  -t SECONDS     how long to measure (5)\n"
        "  -w SECONDS     load before that, which is not counted (1)\n"
        "  -i HOLD        away, held: seconds to hold (3600)\n"
        "  -m PAYLOAD     text of a message, ASCII (\"hello world, this is a message\", in quotes: JSON)\n"
        "\n"
        "Latencies are from sending a message to its return. `cpu` is the share of one core that pollload itself used,\n"
        "`server_cpu` the server's, both of the time measured. Near 1, that process was the limit.\n",
        to);
}

static void parse(int argc, char **argv) {
  int o;
  while ((o = getopt(argc, argv, "h:p:P:u:e:c:k:abt:w:i:m:")) != -1) switch (o) {
      case 'h': opt.host = optarg; break;
      case 'p': opt.port = (int)number(optarg, 'p', 1); break;
      case 'P': opt.pid = (int)number(optarg, 'P', 1); break;
      case 'u': opt.path = optarg; break;
      case 'e': opt.revision = (int)number(optarg, 'e', 3); break;
      case 'c': opt.sessions = (int)number(optarg, 'c', 1); break;
      case 'k': opt.handshakes = (int)number(optarg, 'k', 1); break;
      case 'a': opt.apart = true; break;
      case 'b': opt.headers = BROWSER_HEADERS; break;
      case 't': opt.seconds = number(optarg, 't', 0.01); break;
      case 'w': opt.warmup = number(optarg, 'w', 0); break;
      case 'i': opt.hold = number(optarg, 'i', 0); break;
      case 'm': opt.payload = optarg; break;
      default: usage(stderr); exit(2);
    }
  int mode = -1;
  for (int i = 0; optind == argc - 1 && i <= HELD; i++)
    if (!strcmp(argv[optind], MODES[i])) mode = i;
  if (mode < 0 || !opt.port || opt.revision > 4) {
    usage(stderr);
    exit(2);
  }
  opt.mode = (enum mode)mode;
  server = loopback(opt.host, opt.port);
}

int main(int argc, char **argv) {
  parse(argc, argv);
  raise_file_limit();
  sessions = must(calloc((size_t)opt.sessions, sizeof *sessions));
  latency = must(calloc(LATENCY_BUCKETS, sizeof *latency));
  append_packet(message, 0, sizeof message, '4', opt.payload, (int)strlen(opt.payload));
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) die("epoll_create1: %s", strerror(errno));

  double start = now(), cpu_start = cpu_seconds(), server_start = server_cpu_seconds(opt.pid);
  open_all();
  double elapsed = now() - start;
  double cpu = (cpu_seconds() - cpu_start) / elapsed, server_cpu = (server_cpu_seconds(opt.pid) - server_start) / elapsed;
  if (opt.mode == ECHO) measure(&elapsed, &cpu, &server_cpu);
  printf("{\"mode\":\"%s\",\"sessions\":%d,\"seconds\":%.3f,\"cpu\":%.3f,\"server_cpu\":%.3f", MODES[opt.mode], opt.sessions,
         elapsed, cpu, server_cpu);
  if (opt.mode == ECHO) {
    printf(",\"cycles_per_s\":%.0f,\"requests_per_s\":%.0f", (double)cycles / elapsed, (double)requests / elapsed);
    print_latency();
  }
  printf("}\n");
  if (opt.mode != ECHO) {
    fflush(stdout);
    hold();
    printf("{\"lost\":%d}\n", lost);
  }
  return 0;
}
