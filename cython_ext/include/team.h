/* The threads that OpenMP of GCC keeps for a program which has loaded it: between two parallel regions they wait without
 * rest for some milliseconds, so that other threads would have to share processors with them. `GOMP_parallel`, which
 * compilers call for a parallel region, gives them work. Nothing is linked: where the library is not loaded, or there is
 * none for this platform, none is found. */
#ifndef SKETCHES_TEAM_H
#define SKETCHES_TEAM_H

#include <stddef.h>

#if defined(__linux__) && defined(__GNUC__)
#include <dlfcn.h>

typedef struct {
    int left; /* members who are still to join */
} team_counter;
typedef void (*parallel_function)(void (*)(void *), void *, unsigned threads, unsigned flags);

static void begin_team(team_counter *counter, int members) { counter->left = members; }

static int joins(team_counter *counter) { return __atomic_fetch_sub(&counter->left, 1, __ATOMIC_RELAXED) > 0; }

static void *find_team(const char *library) {
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    return handle ? dlsym(handle, "GOMP_parallel") : NULL; /* the handle stays open, and with it the library */
}

/* As many threads as the calling thread's regions have: a team of another size would be made anew. */
static void run_team(void *start, void (*member)(void *), void *data) {
    ((parallel_function)start)(member, data, 0, 0);
}

#else
typedef struct {
    int left;
} team_counter;

static void begin_team(team_counter *counter, int members) { counter->left = members; }
static int joins(team_counter *counter) { return counter->left-- > 0; }
static void *find_team(const char *library) { return NULL; }
static void run_team(void *start, void (*member)(void *), void *data) { member(data); }
#endif

#endif
