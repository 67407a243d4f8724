/*
** A layer between SQLite and its own file system: everything goes through, and Rust hears of it first and may make
** it fail. Shared memory is not durable and goes through unheard.
*/
#include <sqlite3.h>
#include <string.h>

/* What Rust hears. Keep in step with `Op` in `layer.rs`. */
enum { OP_WRITE = 1, OP_TRUNCATE = 2, OP_SYNC = 3, OP_READ = 4 };

/* The handle of an opened file: 0 when it is not watched, below 0 for the error to answer. */
extern sqlite3_int64 faulty_disk_open(const char *path, int flags, int existed);
/* SQLITE_OK to go on; otherwise what to answer after `*done` bytes of a write or a read went through. */
extern int faulty_disk_act(int op, sqlite3_int64 handle, sqlite3_int64 offset, const void *data, int amount, int *done);
extern int faulty_disk_delete(const char *path, int sync);

typedef struct Layered {
  sqlite3_file base;
  sqlite3_int64 handle;
} Layered;

static sqlite3_vfs *under = 0;

static sqlite3_file *real_of(sqlite3_file *file) { return (sqlite3_file *)(((Layered *)file) + 1); }

static int layer_close(sqlite3_file *file) { return real_of(file)->pMethods->xClose(real_of(file)); }

static int layer_read(sqlite3_file *file, void *into, int amount, sqlite3_int64 offset) {
  Layered *layered = (Layered *)file;
  if (layered->handle) {
    int done = 0;
    int code = faulty_disk_act(OP_READ, layered->handle, offset, 0, amount, &done);
    if (code == SQLITE_IOERR_SHORT_READ) {
      int real = real_of(file)->pMethods->xRead(real_of(file), into, amount, offset);
      if (real != SQLITE_OK && real != SQLITE_IOERR_SHORT_READ) return real;
      if (done < 0 || done > amount) done = 0;
      memset((char *)into + done, 0, (size_t)(amount - done));
      return code;
    }
    if (code != SQLITE_OK) return code;
  }
  return real_of(file)->pMethods->xRead(real_of(file), into, amount, offset);
}

static int layer_write(sqlite3_file *file, const void *from, int amount, sqlite3_int64 offset) {
  Layered *layered = (Layered *)file;
  if (layered->handle) {
    int done = 0;
    int code = faulty_disk_act(OP_WRITE, layered->handle, offset, from, amount, &done);
    if (code != SQLITE_OK) {
      if (done > 0 && done <= amount) real_of(file)->pMethods->xWrite(real_of(file), from, done, offset);
      return code;
    }
  }
  return real_of(file)->pMethods->xWrite(real_of(file), from, amount, offset);
}

static int layer_truncate(sqlite3_file *file, sqlite3_int64 size) {
  Layered *layered = (Layered *)file;
  if (layered->handle) {
    int done = 0;
    int code = faulty_disk_act(OP_TRUNCATE, layered->handle, size, 0, 0, &done);
    if (code != SQLITE_OK) return code;
  }
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int layer_sync(sqlite3_file *file, int flags) {
  Layered *layered = (Layered *)file;
  if (layered->handle) {
    int done = 0;
    int code = faulty_disk_act(OP_SYNC, layered->handle, 0, 0, 0, &done);
    if (code != SQLITE_OK) return code;
  }
  return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int layer_size(sqlite3_file *file, sqlite3_int64 *size) {
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
static int layer_lock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xLock(real_of(file), lock); }
static int layer_unlock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xUnlock(real_of(file), lock); }
static int layer_reserved(sqlite3_file *file, int *out) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}
static int layer_control(sqlite3_file *file, int op, void *arg) {
  return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}
static int layer_sector(sqlite3_file *file) { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
static int layer_traits(sqlite3_file *file) {
  /* What a real disk cannot promise is not promised here either: no atomic writes, no safe append. */
  (void)file;
  return 0;
}
static int layer_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
  return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}
static int layer_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
  return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}
static void layer_shm_barrier(sqlite3_file *file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }
static int layer_shm_unmap(sqlite3_file *file, int remove) {
  return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods METHODS = {
  2, layer_close, layer_read, layer_write, layer_truncate, layer_sync, layer_size, layer_lock, layer_unlock,
  layer_reserved, layer_control, layer_sector, layer_traits, layer_shm_map, layer_shm_lock, layer_shm_barrier,
  layer_shm_unmap, 0, 0
};

static int layer_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out) {
  Layered *layered = (Layered *)file;
  int existed = 0, code;
  (void)vfs;
  memset(file, 0, sizeof(Layered));
  if (name) {
    under->xAccess(under, name, SQLITE_ACCESS_EXISTS, &existed);
    layered->handle = faulty_disk_open(name, flags, existed);
    if (layered->handle < 0) return (int)-layered->handle;
  }
  code = under->xOpen(under, name, real_of(file), flags, out);
  if (real_of(file)->pMethods) file->pMethods = &METHODS;
  return code;
}
static int layer_delete(sqlite3_vfs *vfs, const char *name, int sync) {
  int code = faulty_disk_delete(name, sync);
  (void)vfs;
  if (code != SQLITE_OK) return code;
  return under->xDelete(under, name, sync);
}
static int layer_access(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
  (void)vfs;
  return under->xAccess(under, name, flags, out);
}
static int layer_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out) {
  (void)vfs;
  return under->xFullPathname(under, name, size, out);
}
static int layer_random(sqlite3_vfs *vfs, int size, char *out) {
  (void)vfs;
  return under->xRandomness(under, size, out);
}
static int layer_sleep(sqlite3_vfs *vfs, int micros) {
  (void)vfs;
  return under->xSleep(under, micros);
}
static int layer_now(sqlite3_vfs *vfs, double *out) {
  (void)vfs;
  return under->xCurrentTime(under, out);
}
static int layer_error(sqlite3_vfs *vfs, int size, char *out) {
  (void)vfs;
  return under->xGetLastError(under, size, out);
}
static int layer_now64(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  (void)vfs;
  return under->xCurrentTimeInt64(under, out);
}

static sqlite3_vfs LAYER = {
  2, 0, 0, 0, "faulty-disk", 0, layer_open, layer_delete, layer_access, layer_full_path, 0, 0, 0, 0,
  layer_random, layer_sleep, layer_now, layer_error, layer_now64, 0, 0, 0
};

/* Registers the layer over SQLite's own file system. Call it once. */
int faulty_disk_register(void) {
  int code = sqlite3_initialize();
  if (code != SQLITE_OK) return code;
  under = sqlite3_vfs_find(0);
  if (!under) return SQLITE_ERROR;
  LAYER.szOsFile = (int)sizeof(Layered) + under->szOsFile;
  LAYER.mxPathname = under->mxPathname;
  return sqlite3_vfs_register(&LAYER, 0);
}
