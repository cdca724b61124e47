// Loops on several threads, whose results do not depend on how many there are.
#pragma once

#include <unistd.h>

namespace kernels {

// OpenMP's threads do not survive a fork: a child that used them would wait for ever.
inline bool in_the_process_of_the_pool() {
    static const pid_t owner = getpid();
    return getpid() == owner;
}

// body(i) for every i below n. Where it pays, neighbours share a thread, the same one in every call, so that
// what it wrote into its cache is still there. body must not throw, and no two may write to the same place.
template <class Body>
void for_each(long n, bool pays, const Body& body) {
#pragma omp parallel for schedule(static) if (pays && in_the_process_of_the_pool())
    for (long i = 0; i < n; ++i) body(i);
}

}  // namespace kernels
