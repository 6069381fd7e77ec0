/*
 * The reference of the benchmark: a FUSE server that serves one plain file as one plain file, as directly as it can.
 *
 *     reference-server FILE DIRECTORY THREADS
 *
 * It mounts itself on DIRECTORY and serves FILE there as `vol`. It does what the engine has to do for a volume without
 * mappings and nothing else: no copies, no bitmaps. So what the engine reaches of its rate is the price of FlashCopy
 * and of the language, without the price of the route (block layer, loop device, FUSE), which both pay.
 *
 * It speaks the protocol the way the engine does: direct I/O on every open file, requests of up to 1 MiB, deep queues,
 * FSYNC as fdatasync, discard and write-zeroes as FALLOCATE, no FLUSH. Each thread has its own channel (a clone of
 * /dev/fuse) and answers one request after the other with blocking system calls.
 *
 * Prints "ready" when it serves, and ends when the directory is unmounted. Needs root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
  MAX_WRITE = 1 << 20,
  PAGE = 4096,
  ROOT_NODE = 1,
  FILE_NODE = 2,
  /* Names and attributes never change: the kernel need not ask again. */
  VALID_SECONDS = 3600,
  /* A header and the arguments of a write. */
  WRITE_PAYLOAD_AT = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in),
};

static int backing;
static off_t backing_size;

/* One thread's channel to the kernel and its memory. */
struct channel {
  int fd;
  /* Where requests are read to: placed so that the data of a write begins on a page, as direct I/O wants it. */
  char *request;
  /* Where data for replies is read to. */
  char *data;
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void reply(const struct channel *channel, uint64_t unique, int error, void *body, size_t length) {
  struct fuse_out_header header = {.len = sizeof header + length, .error = -error, .unique = unique};
  struct iovec parts[2] = {{&header, sizeof header}, {body, length}};
  /* ENOENT: the request was interrupted and nobody waits any more. ENODEV: unmounted; the next read says so too. */
  if (writev(channel->fd, parts, length ? 2 : 1) < 0 && errno != ENOENT && errno != ENODEV) die("reply");
}

static void reply_result(const struct channel *channel, uint64_t unique, long result) {
  reply(channel, unique, result < 0 ? errno : 0, NULL, 0);
}

static void fill_attributes(struct fuse_attr *attributes, uint64_t node) {
  memset(attributes, 0, sizeof *attributes);
  attributes->ino = node;
  attributes->nlink = 1;
  attributes->blksize = PAGE;
  attributes->mode = node == ROOT_NODE ? S_IFDIR | 0755 : S_IFREG | 0600;
  attributes->size = node == ROOT_NODE ? 0 : backing_size;
}

static void on_init(const struct channel *channel, uint64_t unique, const struct fuse_init_in *in) {
  const uint32_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;
  struct fuse_init_out out = {
      .major = FUSE_KERNEL_VERSION,
      .minor = 36,
      .max_readahead = in->max_readahead,
      .flags = wanted & in->flags,
      /* The kernel's 12 would stall queues deeper than that. */
      .max_background = 256,
      .congestion_threshold = 192,
      .max_write = MAX_WRITE,
      .time_gran = 1,
      .max_pages = MAX_WRITE / PAGE,
  };
  reply(channel, unique, 0, &out, sizeof out);
}

static void on_lookup(const struct channel *channel, uint64_t unique, const char *name) {
  if (strcmp(name, "vol") != 0) {
    reply(channel, unique, ENOENT, NULL, 0);
    return;
  }
  struct fuse_entry_out out = {.nodeid = FILE_NODE, .entry_valid = VALID_SECONDS, .attr_valid = VALID_SECONDS};
  fill_attributes(&out.attr, FILE_NODE);
  reply(channel, unique, 0, &out, sizeof out);
}

static void on_attributes(const struct channel *channel, const struct fuse_in_header *header) {
  struct fuse_attr_out out = {.attr_valid = VALID_SECONDS};
  fill_attributes(&out.attr, header->nodeid);
  reply(channel, header->unique, 0, &out, sizeof out);
}

static void on_open(const struct channel *channel, uint64_t unique) {
  struct fuse_open_out out = {.fh = 1, .open_flags = FOPEN_DIRECT_IO};
  reply(channel, unique, 0, &out, sizeof out);
}

static void on_read(const struct channel *channel, uint64_t unique, const struct fuse_read_in *in) {
  ssize_t length = pread(backing, channel->data, in->size, in->offset);
  if (length < 0) reply_result(channel, unique, length);
  else reply(channel, unique, 0, channel->data, length);
}

static void on_write(const struct channel *channel, uint64_t unique, const struct fuse_write_in *in) {
  ssize_t length = pwrite(backing, channel->request + WRITE_PAYLOAD_AT, in->size, in->offset);
  struct fuse_write_out out = {.size = length};
  if (length < 0) reply_result(channel, unique, length);
  else reply(channel, unique, 0, &out, sizeof out);
}

static void on_statfs(const struct channel *channel, uint64_t unique) {
  struct fuse_statfs_out out = {.st = {.bsize = PAGE, .frsize = PAGE, .namelen = 255}};
  reply(channel, unique, 0, &out, sizeof out);
}

static void serve_one(const struct channel *channel) {
  const struct fuse_in_header *header = (void *)channel->request;
  const void *arguments = header + 1;
  switch (header->opcode) {
    case FUSE_READ: on_read(channel, header->unique, arguments); break;
    case FUSE_WRITE: on_write(channel, header->unique, arguments); break;
    case FUSE_FSYNC: reply_result(channel, header->unique, fdatasync(backing)); break;
    case FUSE_FALLOCATE: {
      /* The kernel's modes for discard (punch hole) and write-zeroes (zero range) are the system call's own. */
      const struct fuse_fallocate_in *in = arguments;
      reply_result(channel, header->unique, fallocate(backing, in->mode, in->offset, in->length));
      break;
    }
    case FUSE_INIT: on_init(channel, header->unique, arguments); break;
    case FUSE_LOOKUP: on_lookup(channel, header->unique, arguments); break;
    case FUSE_GETATTR:
    case FUSE_SETATTR: on_attributes(channel, header); break;
    case FUSE_OPEN:
    case FUSE_OPENDIR: on_open(channel, header->unique); break;
    case FUSE_STATFS: on_statfs(channel, header->unique); break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_ACCESS: reply(channel, header->unique, 0, NULL, 0); break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break; /* These have no reply. */
    default: reply(channel, header->unique, ENOSYS, NULL, 0);
  }
}

static void *serve(void *argument) {
  const struct channel *channel = argument;
  for (;;) {
    ssize_t length = read(channel->fd, channel->request, WRITE_PAYLOAD_AT + MAX_WRITE);
    if (length >= 0) serve_one(channel);
    else if (errno == ENODEV) return NULL; /* unmounted */
    else if (errno != EINTR && errno != EAGAIN && errno != ENOENT) die("read /dev/fuse");
  }
}

/* The first channel is the mount's own descriptor, the others are clones of it. */
static struct channel *open_channel(int mount_fd, int first) {
  struct channel *channel = malloc(sizeof *channel);
  void *memory = NULL;
  if (!channel || posix_memalign(&memory, PAGE, 2 * MAX_WRITE + 2 * PAGE)) die("memory");
  channel->request = (char *)memory + PAGE - WRITE_PAYLOAD_AT;
  channel->data = (char *)memory + PAGE + MAX_WRITE;
  channel->fd = mount_fd;
  if (!first) {
    channel->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (channel->fd < 0 || ioctl(channel->fd, FUSE_DEV_IOC_CLONE, &mount_fd) < 0) die("clone /dev/fuse");
  }
  return channel;
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: reference-server FILE DIRECTORY THREADS\n");
    return 2;
  }
  const char *file = arguments[1], *directory = arguments[2];
  const int threads = atoi(arguments[3]);

  struct stat status;
  backing = open(file, O_RDWR | O_DIRECT | O_CLOEXEC);
  if (backing < 0 || fstat(backing, &status) < 0) die(file);
  backing_size = status.st_size;

  int mount_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (mount_fd < 0) die("/dev/fuse");
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", mount_fd);
  if (mount("reference", directory, "fuse.reference", MS_NOSUID | MS_NODEV, options) < 0) die(directory);

  pthread_t last;
  for (int thread = 0; thread < threads; thread++) {
    if (pthread_create(&last, NULL, serve, open_channel(mount_fd, thread == 0))) die("thread");
  }
  printf("ready\n");
  fflush(stdout);
  pthread_join(last, NULL);
  return 0;
}
