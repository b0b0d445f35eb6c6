/* The threads that OpenMP of GCC keeps for a program which has loaded it: between two parallel regions they wait without
 * rest for some milliseconds, so that other threads would have to share processors with them. `GOMP_parallel`, which
 * compilers call for a parallel region, gives them work. Nothing is linked: where the library is not loaded, or there is
 * none for this platform, none is found. */
#ifndef SKETCHES_TEAM_H
#define SKETCHES_TEAM_H

#include <stddef.h>

/* Numbers that members of a team take, each once, from the last down to 0. */
typedef struct {
    long left;
} team_counter;

#ifdef _MSC_VER
#include <intrin.h>
static long take(team_counter *counter) { return _InterlockedDecrement(&counter->left); }
#else
static long take(team_counter *counter) { return __atomic_sub_fetch(&counter->left, 1, __ATOMIC_RELAXED); }
#endif

#if defined(__linux__) && defined(__GNUC__)
#include <dlfcn.h>

typedef void (*parallel_function)(void (*)(void *), void *, unsigned threads, unsigned flags);

static void *find_team(const char *library) {
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    return handle ? dlsym(handle, "GOMP_parallel") : NULL; /* the handle stays open, and with it the library */
}

/* As many threads as the calling thread's regions have: a team of another size would be made anew. */
static void run_team(void *start, void (*member)(void *), void *data) {
    ((parallel_function)start)(member, data, 0, 0);
}

#else
static void *find_team(const char *library) { return NULL; }
static void run_team(void *start, void (*member)(void *), void *data) { member(data); }
#endif

#endif
