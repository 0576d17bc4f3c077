/* httpload: an HTTP/1.1 load generator that is cheap enough for the server to be the bottleneck.
 *
 * One process, one thread, one epoll loop; every connection is kept alive and has one request under way.
 * The result is one JSON object on stdout; see usage() for the rest.
 */
#define _GNU_SOURCE
#define PROGRAM "httpload"
#include "load.h"

enum {
  MAX_REQUEST = 4096,
  MAX_RESPONSE = 65536,
};

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

enum mode { GET, POST, CYCLE };
static const char *const MODES[] = {"get", "post", "cycle"};

static struct {
  enum mode mode;
  const char *host, *get_path, *post_path, *body, *extra;
  int port, pid, conns;
  double seconds, warmup;
} opt = {.host = "127.0.0.1",
         .get_path = "/get",
         .post_path = "/post",
         .body = "hello world, this is a message",
         .extra = "",
         .conns = 50,
         .seconds = 5,
         .warmup = 1};

typedef struct {
  char bytes[MAX_REQUEST];
  int len;
} Request;

typedef struct {
  int fd;
  enum { GETTING, POSTING } state;
  char response[MAX_RESPONSE + 1];
  int response_len;
  double sent_at;
} Conn;

static Conn *conns;
static Request get_request, post_request;
static int poller;
static struct sockaddr_in server;
static bool measuring;
static uint64_t requests, cycles;
/* ---- requests --------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void put(Request *r, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int room = MAX_REQUEST - r->len, n = vsnprintf(r->bytes + r->len, (size_t)room, format, args);
  va_end(args);
  if (n >= room) die("the request is too long");
  r->len += n;
}

static void make_requests(void) {
  put(&get_request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\n%s\r\n", opt.get_path, opt.host, opt.port, opt.extra);
  put(&post_request,
      "POST %s HTTP/1.1\r\nHost: %s:%d\r\n%sContent-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
      opt.post_path, opt.host, opt.port, opt.extra, strlen(opt.body), opt.body);
}

static void send_request(Conn *c, const Request *r) {
  c->sent_at = now();
  if (send(c->fd, r->bytes, (size_t)r->len, MSG_NOSIGNAL) != r->len) die("send: %s", strerror(errno));
}

static void get(Conn *c) {
  c->state = GETTING;
  send_request(c, &get_request);
}

static void post(Conn *c) {
  c->state = POSTING;
  send_request(c, &post_request);
}

static void begin_cycle(Conn *c) {
  if (opt.mode == GET)
    get(c);
  else
    post(c);
}

/* ---- responses -------------------------------------------------------------------------------------- */

/* The end of a chunked body, or NULL when it is not complete. */
static char *chunked_end(char *p, const char *end) {
  for (;;) {
    char *line = memmem(p, (size_t)(end - p), "\r\n", 2);
    if (!line) return NULL;
    long size = strtol(p, NULL, 16);
    p = line + 2 + size + 2;
    if (p > end) return NULL;
    if (!size) return p;
  }
}

/* Where the response ends, with `*body` at its body; NULL when it is not complete. */
static char *response_end(Conn *c, char **body) {
  char *end = c->response + c->response_len, *head_end = strstr(c->response, "\r\n\r\n");
  if (!head_end) return NULL;
  *body = head_end + 4;
  for (char *line = strstr(c->response, "\r\n"); line < head_end; line = strstr(line + 2, "\r\n")) {
    if (!strncasecmp(line + 2, "content-length:", 15)) {
      char *last = *body + strtol(line + 17, NULL, 10);
      return last <= end ? last : NULL;
    }
    if (!strncasecmp(line + 2, "transfer-encoding:", 18)) return chunked_end(*body, end);
  }
  die("a response without a length:\n%s", c->response);
}

static void on_response(Conn *c) {
  double t = now();
  if (strncmp(c->response, "HTTP/1.1 200", 12)) die("not the answer that was expected:\n%s", c->response);
  requests++;
  if (measuring) record_latency(t - c->sent_at);
  if (c->state == POSTING && opt.mode == CYCLE) {
    get(c);
  } else {
    cycles++;
    begin_cycle(c);
  }
}

static void on_readable(Conn *c) {
  int room = MAX_RESPONSE - c->response_len;
  if (!room) die("the response is too long");
  ssize_t n = recv(c->fd, c->response + c->response_len, (size_t)room, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) die("the server closed a connection");
  c->response_len += (int)n;
  c->response[c->response_len] = 0;
  char *body, *end = response_end(c, &body);
  if (!end) return;
  if (end != c->response + c->response_len) die("more than one response:\n%s", c->response);
  c->response_len = 0;
  on_response(c);
}

/* ---- the loop --------------------------------------------------------------------------------------- */

static void open_connection(Conn *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket: %s", strerror(errno));
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server)) die("connect: %s", strerror(errno));
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
}

static void run(double seconds) {
  struct epoll_event events[EVENTS];
  double end = now() + seconds;
  for (double t = now(); t < end; t = now()) {
    int n = epoll_wait(poller, events, EVENTS, (int)((end - t) * 1e3) + 1);
    if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) on_readable(events[i].data.ptr);
  }
}

static void usage(FILE *to) {
  fputs("usage: httpload -p PORT [option]... MODE\n"
        "\n"
        "modes\n"
        "  get    GET requests\n"
        "  post   POST requests with a small body\n"
        "  cycle  one after the other: a cycle is a POST and the GET behind it\n"
        "\n"
        "options\n"
        "  -h HOST     a loopback address (127.0.0.1)\n"
        "  -p PORT     the server's port; needed\n"
        "  -P PID      the server's process, to report how much of a core it used\n"
        "  -u PATH     path and query of GET (/get)\n"
        "  -U PATH     path and query of POST (/post)\n"
        "  -m BODY     of POST\n"
        "  -b          send the headers that a browser sends\n"
        "  -c CONNS    number of connections (50)\n"
        "  -t SECONDS  how long to measure (5)\n"
        "  -w SECONDS  load before that, which is not counted (1)\n"
        "\n"
        "`cpu` is the share of one core that httpload itself used, `server_cpu` the server's, both of the time\n"
        "measured. Near 1, that process was the limit.\n",
        to);
}

static void parse(int argc, char **argv) {
  int o;
  while ((o = getopt(argc, argv, "h:p:P:u:U:m:bc:t:w:")) != -1) switch (o) {
      case 'h': opt.host = optarg; break;
      case 'p': opt.port = (int)number(optarg, 'p', 1); break;
      case 'P': opt.pid = (int)number(optarg, 'P', 1); break;
      case 'u': opt.get_path = optarg; break;
      case 'U': opt.post_path = optarg; break;
      case 'm': opt.body = optarg; break;
      case 'b': opt.extra = BROWSER_HEADERS; break;
      case 'c': opt.conns = (int)number(optarg, 'c', 1); break;
      case 't': opt.seconds = number(optarg, 't', 0.01); break;
      case 'w': opt.warmup = number(optarg, 'w', 0); break;
      default: usage(stderr); exit(2);
    }
  int mode = -1;
  for (int i = 0; optind == argc - 1 && i <= CYCLE; i++)
    if (!strcmp(argv[optind], MODES[i])) mode = i;
  if (mode < 0 || !opt.port) {
    usage(stderr);
    exit(2);
  }
  opt.mode = (enum mode)mode;
  server = loopback(opt.host, opt.port);
}

int main(int argc, char **argv) {
  parse(argc, argv);
  conns = must(calloc((size_t)opt.conns, sizeof *conns));
  latency = must(calloc(LATENCY_BUCKETS, sizeof *latency));
  make_requests();
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) die("epoll_create1: %s", strerror(errno));
  for (Conn *c = conns; c < conns + opt.conns; c++) open_connection(c);
  for (Conn *c = conns; c < conns + opt.conns; c++) begin_cycle(c);
  run(opt.warmup);
  requests = cycles = 0;
  measuring = true;
  double start = now(), cpu_start = cpu_seconds(), server_start = server_cpu_seconds(opt.pid);
  run(opt.seconds);
  double elapsed = now() - start, cpu = cpu_seconds() - cpu_start, server_cpu = server_cpu_seconds(opt.pid) - server_start;
  if (!cycles) die("no answer came in %.1f s", elapsed);
  printf("{\"mode\":\"%s\",\"conns\":%d,\"seconds\":%.3f,\"cpu\":%.3f,\"server_cpu\":%.3f", MODES[opt.mode], opt.conns, elapsed,
         cpu / elapsed, server_cpu / elapsed);
  printf(",\"cycles_per_s\":%.0f,\"requests_per_s\":%.0f", (double)cycles / elapsed, (double)requests / elapsed);
  print_latency();
  printf("}\n");
  return 0;
}
