/* wsload: a WebSocket load generator that is cheap enough for the server to be the bottleneck.
 *
 * One process, one thread, one epoll loop.  Frames are counted, not compared, so that a protocol that
 * wraps its payload can be measured too.  The result is one JSON object on stdout; see usage() for the rest.
 */
#define _GNU_SOURCE
#define PROGRAM "wsload"
#include "load.h"

/* The nonce of RFC 6455, section 1.3, and the answer that the RFC gives for it: no SHA-1 needed. */
#define NONCE "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum {
  MAX_GREETINGS = 8,
  MAX_RESPONSE = 4096,       /* bytes of a handshake's response */
  MAX_HEADER = 10,           /* bytes of an unmasked frame's header */
  KEPT = 64,                 /* payload bytes kept of a frame, to recognise primus::ping and close codes */
  RECV_BYTES = 1 << 18,
  PER_ADDRESS = 20000,       /* connections from one source address; a port range has about 28,000 */
};

/* Connections that only listen are looked at this seldom: one recv() then takes several frames, and the
 * server's send() has no reader to wake, as it would have none if its clients were on other machines.
 * Without it the receiving of a broadcast costs as much as the sending, and is what would be measured. */
static const double LISTENER_SECONDS = 0.05;

/* How a framework carries a message in a frame. */
static const struct framework {
  const char *name, *path;
  const char *before, *after; /* around the payload, in a frame of ours */
  bool quoted;                /* the payload is text inside JSON */
  const char *opening;        /* what the server's first frame begins with, which is not counted; NULL: there is none */
  const char *asks, *answer;  /* a frame that wants to be answered, and how */
  const char *carries;        /* what frames with a message begin with */
} FRAMEWORKS[] = {
    {.name = "websockets", .path = "/primus", .before = "", .after = "", .carries = ""},
    {.name = "engine.io", .path = "/primus/?EIO=4&transport=websocket", .before = "4", .after = "", .opening = "0",
     .asks = "2", .answer = "3", .carries = "4"},
    {.name = "sockjs", .path = "/primus/000/load/websocket", .before = "[\"", .after = "\"]", .quoted = true,
     .opening = "o", .carries = "a"},
    {.name = "socket.io", .path = "/primus/1/websocket/", .before = "3:::", .after = "", .opening = "1::", .asks = "2::",
     .answer = "2::", .carries = "3:"},
};
enum { FRAMEWORK_COUNT = sizeof FRAMEWORKS / sizeof *FRAMEWORKS };

enum mode { ECHO, FANOUT, RECEIVE, CONNECT, IDLE };
static const char *const MODES[] = {"echo", "fanout", "receive", "connect", "idle"};

static struct {
  enum mode mode;
  const char *host, *path, *payload;
  const char *greetings[MAX_GREETINGS];
  const struct framework *framework;
  int port, pid, conns, depth, greeting_count, skip, publishers, handshakes;
  double seconds, warmup, hold;
} opt = {.host = "127.0.0.1",
         .framework = FRAMEWORKS,
         .payload = "\"hello world, this is a message\"",
         .conns = 50,
         .depth = 1,
         .publishers = 1,
         .handshakes = 64,
         .seconds = 5,
         .warmup = 1,
         .hold = 3600};

typedef struct {
  int fd;
  enum { CONNECTING, SHAKING, OPEN } state;
  bool wants_write, listens;
  int skip;          /* frames still to ignore */
  double opened_at;
  char *response;    /* handshake's response so far; freed when it is complete */
  int response_len;
  unsigned char header[MAX_HEADER];
  int header_len, opcode;
  uint64_t need;     /* payload bytes of the current frame that are still to come */
  unsigned char kept[KEPT];
  int kept_len;
  double *sent_at;   /* ring of opt.depth times: frames in flight, oldest at tail */
  unsigned head, tail;
  unsigned char *out;
  size_t out_len, out_off, out_cap;
} Conn;

static Conn *conns;
static int poller, listeners; /* epoll sets; the second one is read every LISTENER_SECONDS */
static struct sockaddr_in server;
static unsigned char *message; /* the payload as a masked frame */
static size_t message_len;

static int opened, begun, ready, lost;
static bool loading, measuring;
static uint64_t received, sent;

/* ---- frames out ------------------------------------------------------------------------------------- */

/* Writes a masked frame (RFC 6455, section 5.2) to `to`, which has room for n + 14 bytes. */
static size_t put_frame(unsigned char *to, int opcode, const void *payload, size_t n) {
  static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
  const unsigned char *from = payload;
  size_t k = 0;
  to[k++] = (unsigned char)(0x80 | opcode);
  if (n < 126) {
    to[k++] = (unsigned char)(0x80 | n);
  } else if (n < 65536) {
    to[k++] = 0x80 | 126;
    to[k++] = (unsigned char)(n >> 8);
    to[k++] = (unsigned char)n;
  } else {
    to[k++] = 0x80 | 127;
    for (int shift = 56; shift >= 0; shift -= 8) to[k++] = (unsigned char)((uint64_t)n >> shift);
  }
  memcpy(to + k, mask, 4);
  k += 4;
  for (size_t i = 0; i < n; i++) to[k++] = from[i] ^ mask[i & 3];
  return k;
}

static void watch(Conn *c, int operation, bool write) {
  struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
  if (epoll_ctl(c->listens ? listeners : poller, operation, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
  c->wants_write = write;
}

static void flush(Conn *c) {
  while (c->out_off < c->out_len) {
    ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) die("send: %s", strerror(errno));
      if (!c->wants_write) watch(c, EPOLL_CTL_MOD, true);
      return;
    }
    c->out_off += (size_t)n;
  }
  c->out_off = c->out_len = 0;
  if (c->wants_write) watch(c, EPOLL_CTL_MOD, false);
}

static void queue(Conn *c, const void *bytes, size_t n) {
  if (c->out_len + n > c->out_cap) {
    c->out_cap = (c->out_len + n) * 2;
    c->out = must(realloc(c->out, c->out_cap));
  }
  memcpy(c->out + c->out_len, bytes, n);
  c->out_len += n;
}

static void queue_frame(Conn *c, int opcode, const void *payload, size_t n) {
  unsigned char *frame = must(malloc(n + 14));
  queue(c, frame, put_frame(frame, opcode, payload, n));
  free(frame);
}

/* The payload as its framework carries it; to be freed. */
static char *carried(const char *text, size_t n) {
  const struct framework *f = opt.framework;
  char *packet = must(malloc(2 * n + strlen(f->before) + strlen(f->after) + 1)), *to = stpcpy(packet, f->before);
  for (size_t i = 0; i < n; i++) {
    if (f->quoted && (text[i] == '"' || text[i] == '\\')) *to++ = '\\';
    *to++ = text[i];
  }
  strcpy(to, f->after);
  return packet;
}

/* Queues a message that does not count. */
static void queue_text(Conn *c, const char *text, size_t n) {
  char *packet = carried(text, n);
  queue_frame(c, 1, packet, strlen(packet));
  free(packet);
}

static void queue_message(Conn *c, double t) {
  queue(c, message, message_len);
  c->sent_at[c->head++ % (unsigned)opt.depth] = t;
  sent++;
}

static bool publishes(const Conn *c) {
  return opt.mode == ECHO || (opt.mode == FANOUT && c < conns + opt.publishers);
}

/* ---- frames in -------------------------------------------------------------------------------------- */

/* Primus 7+ and primus_gevent ping in text: "primus::ping::<time>" wants "primus::pong::<time>". */
static bool answer_primus_ping(Conn *c) {
  static const char ping[] = "\"primus::ping::";
  int before = (int)strlen(opt.framework->before);
  char *text = (char *)c->kept + before;
  int length = c->kept_len - before;
  if (opt.framework->quoted) return false; /* it comes after 30 s only */
  if (length < (int)sizeof ping - 1 || memcmp(text, ping, sizeof ping - 1)) return false;
  text[sizeof "\"primus::p" - 1] = 'o';
  queue_text(c, text, (size_t)length);
  return true;
}

static bool begins_with(const Conn *c, const char *text) {
  size_t n = text ? strlen(text) : 0;
  return text && c->kept_len >= (int)n && !memcmp(c->kept, text, n);
}

/* Whatever is neither a message nor the opening; heartbeats are answered. */
static bool is_control_packet(Conn *c) {
  const struct framework *f = opt.framework;
  if (begins_with(c, f->carries) || begins_with(c, f->opening)) return false;
  if (begins_with(c, f->asks)) queue_frame(c, 1, f->answer, strlen(f->answer));
  return true;
}

static void on_frame(Conn *c, double t) {
  if (c->opcode == 9) {
    queue_frame(c, 10, c->kept, (size_t)c->kept_len);
    return;
  }
  if (c->opcode == 8) {
    int code = c->kept_len >= 2 ? c->kept[0] << 8 | c->kept[1] : 1005;
    if (opt.mode != IDLE) die("the server closed a connection with %d", code);
    return; /* counted when the end of the stream arrives */
  }
  if (c->opcode > 2 || is_control_packet(c) || answer_primus_ping(c)) return;
  if (c->skip > 0) {
    if (--c->skip == 0) ready++;
    return;
  }
  received++;
  if (!publishes(c) || c->tail == c->head) return;
  double t_sent = c->sent_at[c->tail++ % (unsigned)opt.depth];
  if (measuring) record_latency(t - t_sent);
  if (loading) queue_message(c, t);
}

/* Takes one frame's header from [p, end) if it is complete, else keeps what is there for the next time. */
static const unsigned char *take_header(Conn *c, const unsigned char *p, const unsigned char *end) {
  for (;;) {
    if (c->header_len >= 2) {
      int size = c->header[1] & 127, wanted = size < 126 ? 2 : size == 126 ? 4 : 10;
      if (c->header[1] & 128) die("the server masked a frame");
      if (c->header_len == wanted) break;
    }
    if (p == end) return NULL;
    c->header[c->header_len++] = *p++;
  }
  c->need = c->header[1] & 127;
  if (c->header_len > 2) {
    c->need = 0;
    for (int i = 2; i < c->header_len; i++) c->need = c->need << 8 | c->header[i];
  }
  c->opcode = c->header[0] & 15;
  c->header_len = c->kept_len = 0;
  return p;
}

static void on_bytes(Conn *c, const unsigned char *p, size_t n) {
  const unsigned char *end = p + n;
  double t = now();
  bool inside = c->need > 0;
  for (;;) {
    if (!inside) {
      p = take_header(c, p, end);
      if (!p) break;
    }
    size_t here = c->need < (size_t)(end - p) ? (size_t)c->need : (size_t)(end - p);
    size_t keep = here < (size_t)(KEPT - c->kept_len) ? here : (size_t)(KEPT - c->kept_len);
    memcpy(c->kept + c->kept_len, p, keep);
    c->kept_len += (int)keep;
    p += here;
    c->need -= here;
    if (c->need) return;
    on_frame(c, t);
    inside = false;
  }
  if (c->out_len && !c->wants_write) flush(c);
}

/* ---- Socket.IO's handshake --------------------------------------------------------------------------- */

/* Asks for a session over a connection of its own, and writes the path of its WebSocket. */
static void handshake(char *path, size_t size) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server)) die("connect: %s", strerror(errno));
  char request[256], answer[MAX_RESPONSE + 1];
  int n = snprintf(request, sizeof request, "GET /primus/1/?t=1 HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n",
                   opt.host, opt.port);
  if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n) die("send: %s", strerror(errno));
  size_t got = 0;
  for (ssize_t k; got < MAX_RESPONSE && (k = recv(fd, answer + got, MAX_RESPONSE - got, 0)) > 0;) got += (size_t)k;
  close(fd);
  answer[got] = 0;
  /* SID:60:60:websocket,... in a body that may be chunked */
  char *list = strstr(answer, ":websocket"), *sid = list;
  if (!list) die("no session:\n%s", answer);
  while (sid > answer && sid[-1] != '\n') sid--;
  snprintf(path, size, "%s%.*s", opt.path, (int)strcspn(sid, ":"), sid);
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static void open_next(void) {
  Conn *c = &conns[begun++];
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket: %s (is the limit on open files too low?)", strerror(errno));
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (opt.conns > PER_ADDRESS) {
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)((begun - 1) / PER_ADDRESS));
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) die("bind: %s", strerror(errno));
  }
  c->opened_at = now();
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
    die("connect: %s", strerror(errno));
  watch(c, EPOLL_CTL_ADD, true);
}

static void on_connected(Conn *c) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) die("connect: %s", strerror(error));
  char request[2048], path[1024];
  if (!strcmp(opt.framework->name, "socket.io"))
    handshake(path, sizeof path);
  else
    snprintf(path, sizeof path, "%s", opt.path);
  int n = snprintf(request, sizeof request,
                   "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: " NONCE "\r\nSec-WebSocket-Version: 13\r\nOrigin: http://%s:%d\r\n\r\n",
                   path, opt.host, opt.port, opt.host, opt.port);
  if (n >= (int)sizeof request) die("the path is too long");
  c->state = SHAKING;
  c->response = must(malloc(MAX_RESPONSE + 1));
  queue(c, request, (size_t)n);
  flush(c);
}

static void on_open(Conn *c) {
  c->state = OPEN;
  c->skip = opt.skip;
  c->sent_at = must(calloc((size_t)opt.depth, sizeof *c->sent_at));
  opened++;
  if (!c->skip) ready++;
  if (opt.mode == CONNECT) record_latency(now() - c->opened_at);
  for (int i = 0; i < opt.greeting_count; i++) queue_text(c, opt.greetings[i], strlen(opt.greetings[i]));
  if (c->out_len) flush(c);
  if (begun < opt.conns) open_next();
}

/* The response may share its packet with the first frames, which must not be lost. */
static void on_response(Conn *c, const unsigned char *bytes, size_t n) {
  int room = MAX_RESPONSE - c->response_len, take = (int)n < room ? (int)n : room;
  memcpy(c->response + c->response_len, bytes, (size_t)take);
  c->response_len += take;
  c->response[c->response_len] = 0;
  char *body = strstr(c->response, "\r\n\r\n");
  if (!body) {
    if (take < (int)n || c->response_len == MAX_RESPONSE) die("the handshake's response is too long");
    return;
  }
  body += 4;
  size_t rest = n - (size_t)((body - c->response) - (c->response_len - take));
  *body = 0;
  if (strncmp(c->response, "HTTP/1.1 101", 12) || !strstr(c->response, ACCEPT))
    die("the server refused the handshake:\n%s", c->response);
  free(c->response);
  c->response = NULL;
  on_open(c);
  if (rest) on_bytes(c, bytes + (n - rest), rest);
}

/* ---- the loop --------------------------------------------------------------------------------------- */

static void on_lost(Conn *c) {
  if (c->state == SHAKING) die("the connection was closed during the handshake:\n%.*s", c->response_len, c->response);
  if (opt.mode != IDLE) die("the server closed a connection");
  epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
  close(c->fd);
  lost++;
}

static void on_event(Conn *c, uint32_t events) {
  static unsigned char buffer[RECV_BYTES];
  if (c->state == CONNECTING) {
    on_connected(c);
    return;
  }
  if (events & EPOLLOUT) flush(c);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0)
    on_lost(c);
  else if (c->state == SHAKING)
    on_response(c, buffer, (size_t)n);
  else
    on_bytes(c, buffer, (size_t)n);
}

/* Waits for at most `seconds` and handles what one epoll set has; false when stdin closed (idle mode). */
static bool turn(int set, double seconds) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(set, events, EVENTS, seconds > 0 ? (int)(seconds * 1e3) + 1 : 0);
  if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
  for (int i = 0; i < n; i++) {
    if (!events[i].data.ptr) { /* stdin: whatever comes, only its end counts */
      char ignored[256];
      if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) return false;
    } else {
      on_event(events[i].data.ptr, events[i].events);
    }
  }
  return true;
}

/* Runs the loop for at most `seconds`; ends early when `done` says so, or when stdin closes (idle mode). */
static void run(double seconds, bool (*done)(void)) {
  double t = now(), end = t + seconds, next = t + LISTENER_SECONDS;
  for (; !done || !done(); t = now()) {
    if (t >= end) return;
    if (loading && t >= next) {
      /* Each set of EVENTS goes to the end of epoll's list, so that these turns visit every listener once. */
      for (int i = 0; i <= opt.conns / EVENTS; i++) turn(listeners, 0);
      next = t + LISTENER_SECONDS;
    }
    double wait = loading && next < end ? next - t : end - t;
    if (!turn(poller, wait)) return;
  }
}

static bool all_ready(void) { return ready == opt.conns; }

static void open_all(void) {
  while (begun < opt.conns && begun < opt.handshakes) open_next();
  int before = -1;
  while (!all_ready()) {
    if (ready + opened == before) die("no progress for %.0f s: %d of %d connections are open", STALL_SECONDS, opened, opt.conns);
    before = ready + opened;
    run(STALL_SECONDS, all_ready);
  }
}

static void measure(double *elapsed, double *cpu, double *server_cpu) {
  loading = true;
  for (Conn *c = conns; c < conns + opt.conns; c++)
    if (!publishes(c)) {
      epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
      c->listens = true;
      watch(c, EPOLL_CTL_ADD, c->wants_write);
    }
  for (Conn *c = conns; c < conns + opt.conns; c++)
    if (publishes(c)) {
      for (int i = 0; i < opt.depth; i++) queue_message(c, now());
      flush(c);
    }
  run(opt.warmup, NULL);
  received = sent = 0;
  measuring = true;
  double start = now(), cpu_start = cpu_seconds(), server_start = server_cpu_seconds(opt.pid);
  run(opt.seconds, NULL);
  *elapsed = now() - start;
  *cpu = (cpu_seconds() - cpu_start) / *elapsed;
  *server_cpu = (server_cpu_seconds(opt.pid) - server_start) / *elapsed;
  if (!received) die("no frame came back in %.1f s", *elapsed);
}

/* ---- command line ----------------------------------------------------------------------------------- */

static void usage(FILE *to) {
  fputs("usage: wsload -p PORT [option]... MODE\n"
        "\n"
        "modes\n"
        "  echo      every connection keeps DEPTH frames in flight and expects one frame back for each\n"
        "  fanout    the first PUBLISHERS connections keep DEPTH frames in flight, and every connection counts\n"
        "            what the server sends round\n"
        "  receive   nobody sends; counts what the server publishes of its own accord\n"
        "  connect   opens the connections and reports how fast that went\n"
        "  idle      opens the connections, prints the result, then holds them until stdin closes or HOLD is\n"
        "            over, and prints how many the server had closed by then\n"
        "\n"
        "options\n"
        "  -h HOST        a loopback address (127.0.0.1)\n"
        "  -p PORT        the server's port; needed\n"
        "  -P PID         the server's process, to report how much of a core it used\n"
        "  -u PATH        path and query of the handshake (/primus, or the framework's own)\n"
        "  -f FRAMEWORK   how messages are carried: websockets, engine.io (revision 4), sockjs, socket.io (0.9)\n"
        "  -c CONNS       number of connections (50)\n"
        "  -k HANDSHAKES  how many of them are being opened at a time (64)\n"
        "  -d DEPTH       frames in flight on each connection that sends (1)\n"
        "  -b PUBLISHERS  fanout: how many connections send (1)\n"
        "  -t SECONDS     how long to measure (5)\n"
        "  -w SECONDS     load before that, which is not counted (1)\n"
        "  -i HOLD        idle: seconds to hold (3600)\n"
        "  -m PAYLOAD     text of a frame (\"hello world, this is a message\", in quotes: JSON)\n"
        "  -g TEXT        frame to send first on each connection; up to 8 of them\n"
        "  -s N           frames to ignore on each connection before load starts (0)\n"
        "\n"
        "Latencies are from sending a frame to its return on the same connection; for connect, from connect() to\n"
        "the complete response.  `cpu` is the share of one core that wsload itself used, `server_cpu` the server's,\n"
        "both of the time measured. Near 1, that process was the limit.\n",
        to);
}

static void parse(int argc, char **argv) {
  int o;
  while ((o = getopt(argc, argv, "h:p:P:u:f:c:k:d:b:t:w:i:m:g:s:")) != -1) switch (o) {
      case 'h': opt.host = optarg; break;
      case 'p': opt.port = (int)number(optarg, 'p', 1); break;
      case 'P': opt.pid = (int)number(optarg, 'P', 1); break;
      case 'u': opt.path = optarg; break;
      case 'f':
        opt.framework = NULL;
        for (int i = 0; i < FRAMEWORK_COUNT; i++)
          if (!strcmp(optarg, FRAMEWORKS[i].name)) opt.framework = &FRAMEWORKS[i];
        if (!opt.framework) die("no such framework: %s", optarg);
        break;
      case 'c': opt.conns = (int)number(optarg, 'c', 1); break;
      case 'k': opt.handshakes = (int)number(optarg, 'k', 1); break;
      case 'd': opt.depth = (int)number(optarg, 'd', 1); break;
      case 'b': opt.publishers = (int)number(optarg, 'b', 1); break;
      case 't': opt.seconds = number(optarg, 't', 0.01); break;
      case 'w': opt.warmup = number(optarg, 'w', 0); break;
      case 'i': opt.hold = number(optarg, 'i', 0); break;
      case 'm': opt.payload = optarg; break;
      case 's': opt.skip = (int)number(optarg, 's', 0); break;
      case 'g':
        if (opt.greeting_count == MAX_GREETINGS) die("at most %d greetings", MAX_GREETINGS);
        opt.greetings[opt.greeting_count++] = optarg;
        break;
      default: usage(stderr); exit(2);
    }
  int mode = -1;
  for (int i = 0; optind == argc - 1 && i <= IDLE; i++)
    if (!strcmp(argv[optind], MODES[i])) mode = i;
  if (mode < 0 || !opt.port) {
    usage(stderr);
    exit(2);
  }
  opt.mode = (enum mode)mode;
  if (opt.framework->opening) opt.skip++;
  if (!opt.path) opt.path = opt.framework->path;
  if (opt.publishers > opt.conns) die("more publishers than connections");
  server = loopback(opt.host, opt.port);
}

int main(int argc, char **argv) {
  parse(argc, argv);
  raise_file_limit();
  conns = must(calloc((size_t)opt.conns, sizeof *conns));
  latency = must(calloc(LATENCY_BUCKETS, sizeof *latency));
  size_t payload_len = strlen(opt.payload);
  char *text = carried(opt.payload, payload_len);
  message = must(malloc(strlen(text) + 14));
  message_len = put_frame(message, 1, text, strlen(text));
  free(text);
  poller = epoll_create1(EPOLL_CLOEXEC);
  listeners = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0 || listeners < 0) die("epoll_create1: %s", strerror(errno));

  double start = now(), cpu_start = cpu_seconds(), server_start = server_cpu_seconds(opt.pid);
  open_all();
  double connect_s = now() - start, elapsed = connect_s;
  double cpu = (cpu_seconds() - cpu_start) / elapsed, server_cpu = (server_cpu_seconds(opt.pid) - server_start) / elapsed;
  bool loads = opt.mode != IDLE && opt.mode != CONNECT;
  if (loads) measure(&elapsed, &cpu, &server_cpu);
  printf("{\"mode\":\"%s\",\"conns\":%d,\"connect_s\":%.4f,\"connects_per_s\":%.0f", MODES[opt.mode], opt.conns, connect_s,
         opt.conns / connect_s);
  printf(",\"seconds\":%.3f,\"cpu\":%.3f,\"server_cpu\":%.3f", elapsed, cpu, server_cpu);
  if (loads)
    printf(",\"depth\":%d,\"payload_bytes\":%zu,\"frames_per_s\":%.0f,\"sent_per_s\":%.0f", opt.depth, payload_len,
           (double)received / elapsed, (double)sent / elapsed);
  if (opt.mode != IDLE) print_latency();
  printf("}\n");
  if (opt.mode == IDLE) {
    fflush(stdout);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e) && errno != EPERM) die("stdin: %s", strerror(errno));
    run(opt.hold, NULL);
    printf("{\"lost\":%d}\n", lost);
  }
  return 0;
}
