/*
** A layer between SQLite and the file system that ends every page of a database file with a checksum of the page and
** its place, and refuses a page whose checksum is wrong with SQLITE_IOERR_DATA.
**
** Only the database file is touched: frames of the write-ahead log carry checksums of SQLite's own. The last eight
** bytes of a page belong to the layer (the database reserves them), so writing them changes nothing that SQLite reads.
*/
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

enum { SUM_BYTES = 8, LAYERS_MAX = 4 };

typedef struct Layered {
  sqlite3_file base;
  int database; /* true for a database file, whose pages are checked */
} Layered;

static sqlite3_file *real_of(sqlite3_file *file) { return (sqlite3_file *)(((Layered *)file) + 1); }

static uint64_t load(const unsigned char *at) {
  uint64_t word;
  memcpy(&word, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

static uint64_t mix(uint64_t sum, uint64_t word) {
  /* Multiplying by an odd number and rotating are one-to-one: two words that differ never meet in one lane. */
  sum = (sum ^ word) * 0x9fb21c651e98df25ull;
  return (sum << 29) | (sum >> 35);
}

/* Four lanes, so that the multiplications overlap; `bytes` is a multiple of 8. */
static uint64_t sum_of(const unsigned char *page, int bytes, sqlite3_int64 offset) {
  uint64_t lane[4] = {0x243f6a8885a308d3ull, 0x13198a2e03707344ull, 0xa4093822299f31d0ull, 0x082efa98ec4e6c89ull};
  uint64_t sum;
  int at = 0;
  for (; at + 32 <= bytes; at += 32) {
    lane[0] = mix(lane[0], load(page + at));
    lane[1] = mix(lane[1], load(page + at + 8));
    lane[2] = mix(lane[2], load(page + at + 16));
    lane[3] = mix(lane[3], load(page + at + 24));
  }
  for (; at + 8 <= bytes; at += 8) lane[0] = mix(lane[0], load(page + at));
  sum = mix(0x452821e638d01377ull, (uint64_t)offset);
  sum = mix(sum, lane[0]);
  sum = mix(sum, lane[1]);
  sum = mix(sum, lane[2]);
  sum = mix(sum, lane[3]);
  return sum ^ (sum >> 32);
}

static int is_page(int amount, sqlite3_int64 offset) {
  return amount >= 512 && (amount & (amount - 1)) == 0 && offset % amount == 0;
}

static void put_sum(unsigned char *at, uint64_t sum) {
  int byte;
  for (byte = 0; byte < SUM_BYTES; byte++) at[byte] = (unsigned char)(sum >> (8 * byte));
}

static int pages_close(sqlite3_file *file) { return real_of(file)->pMethods->xClose(real_of(file)); }

static int pages_read(sqlite3_file *file, void *into, int amount, sqlite3_int64 offset) {
  int code = real_of(file)->pMethods->xRead(real_of(file), into, amount, offset);
  if (code == SQLITE_IOERR_SHORT_READ && ((Layered *)file)->database && is_page(amount, offset)) {
    /* SQLite takes what is missing for zeros, which only holds behind the end of the file. */
    sqlite3_int64 size = 0;
    int sized = real_of(file)->pMethods->xFileSize(real_of(file), &size);
    if (sized != SQLITE_OK) return sized;
    if (size > offset) {
      sqlite3_log(SQLITE_IOERR_DATA, "the page at byte %lld of a database is cut short", offset);
      return SQLITE_IOERR_DATA;
    }
  }
  if (code == SQLITE_OK && ((Layered *)file)->database && is_page(amount, offset)) {
    unsigned char right[SUM_BYTES];
    const unsigned char *page = into;
    put_sum(right, sum_of(page, amount - SUM_BYTES, offset));
    if (memcmp(right, page + amount - SUM_BYTES, SUM_BYTES) != 0) {
      sqlite3_log(SQLITE_IOERR_DATA, "the page at byte %lld of a database has a wrong checksum", offset);
      return SQLITE_IOERR_DATA;
    }
  }
  return code;
}

static int pages_write(sqlite3_file *file, const void *from, int amount, sqlite3_int64 offset) {
  if (((Layered *)file)->database && is_page(amount, offset)) {
    /* The eight bytes are nobody else's, so they are written in place rather than copying every page. */
    unsigned char *page = (unsigned char *)from;
    put_sum(page + amount - SUM_BYTES, sum_of(page, amount - SUM_BYTES, offset));
  }
  return real_of(file)->pMethods->xWrite(real_of(file), from, amount, offset);
}

static int pages_truncate(sqlite3_file *file, sqlite3_int64 size) {
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}
static int pages_sync(sqlite3_file *file, int flags) { return real_of(file)->pMethods->xSync(real_of(file), flags); }
static int pages_size(sqlite3_file *file, sqlite3_int64 *size) {
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
static int pages_lock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xLock(real_of(file), lock); }
static int pages_unlock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xUnlock(real_of(file), lock); }
static int pages_reserved(sqlite3_file *file, int *out) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}
static int pages_control(sqlite3_file *file, int op, void *arg) {
  return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}
static int pages_sector(sqlite3_file *file) { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
static int pages_traits(sqlite3_file *file) {
  /* A part of a page must never be read or written alone: its checksum would be another's. */
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file)) & ~SQLITE_IOCAP_SUBPAGE_READ;
}
static int pages_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
  return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}
static int pages_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
  return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}
static void pages_shm_barrier(sqlite3_file *file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }
static int pages_shm_unmap(sqlite3_file *file, int remove) {
  return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

/* Version 2: without memory maps, which would go past the check. */
static const sqlite3_io_methods METHODS = {
  2, pages_close, pages_read, pages_write, pages_truncate, pages_sync, pages_size, pages_lock, pages_unlock,
  pages_reserved, pages_control, pages_sector, pages_traits, pages_shm_map, pages_shm_lock, pages_shm_barrier,
  pages_shm_unmap, 0, 0
};

static sqlite3_vfs *under_of(sqlite3_vfs *vfs) { return (sqlite3_vfs *)vfs->pAppData; }

static int pages_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out) {
  int code;
  memset(file, 0, sizeof(Layered));
  ((Layered *)file)->database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
  code = under_of(vfs)->xOpen(under_of(vfs), name, real_of(file), flags, out);
  if (real_of(file)->pMethods) file->pMethods = &METHODS;
  return code;
}
static int pages_delete(sqlite3_vfs *vfs, const char *name, int sync) {
  return under_of(vfs)->xDelete(under_of(vfs), name, sync);
}
static int pages_access(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
  return under_of(vfs)->xAccess(under_of(vfs), name, flags, out);
}
static int pages_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out) {
  return under_of(vfs)->xFullPathname(under_of(vfs), name, size, out);
}
static int pages_random(sqlite3_vfs *vfs, int size, char *out) {
  return under_of(vfs)->xRandomness(under_of(vfs), size, out);
}
static int pages_sleep(sqlite3_vfs *vfs, int micros) { return under_of(vfs)->xSleep(under_of(vfs), micros); }
static int pages_now(sqlite3_vfs *vfs, double *out) { return under_of(vfs)->xCurrentTime(under_of(vfs), out); }
static int pages_error(sqlite3_vfs *vfs, int size, char *out) {
  return under_of(vfs)->xGetLastError(under_of(vfs), size, out);
}
static int pages_now64(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  return under_of(vfs)->xCurrentTimeInt64(under_of(vfs), out);
}

static const sqlite3_vfs LAYER = {
  2, 0, 0, 0, 0, 0, pages_open, pages_delete, pages_access, pages_full_path, 0, 0, 0, 0,
  pages_random, pages_sleep, pages_now, pages_error, pages_now64, 0, 0, 0
};

static sqlite3_vfs layers[LAYERS_MAX];
static int layers_count = 0;

/*
** Registers a layer with a name that lives for ever over the file system `under`, SQLite's own when it is null. The
** caller calls this from one thread at a time.
*/
int pages_register(const char *name, const char *under_name) {
  sqlite3_vfs *under, *layer;
  int code = sqlite3_initialize();
  if (code != SQLITE_OK) return code;
  under = sqlite3_vfs_find(under_name);
  if (!under || layers_count == LAYERS_MAX) return SQLITE_ERROR;
  layer = &layers[layers_count++];
  *layer = LAYER;
  layer->zName = name;
  layer->pAppData = under;
  layer->szOsFile = (int)sizeof(Layered) + under->szOsFile;
  layer->mxPathname = under->mxPathname;
  return sqlite3_vfs_register(layer, 0);
}

/* Makes a new database reserve the end of each page. Answers the bytes that are reserved, below 0 for an error. */
int pages_reserve(sqlite3 *db) {
  int bytes = SUM_BYTES;
  int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
  if (code != SQLITE_OK) return -code;
  bytes = -1;
  code = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
  return code == SQLITE_OK ? bytes : -code;
}
