// Loops on several threads, whose results do not depend on how many there are.
//
// Not OpenMP: its loops end when every thread has come to the end, so that on a busy machine all wait for one that the
// system has set aside; its waiting threads keep their cores busy; and a process that was forked hangs. Here whoever is
// free takes the next part, and the caller takes all that nobody else has taken.
#pragma once

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <thread>

namespace kernels {

// OMP_NUM_THREADS, or else the processors that this process may use.
inline int number_of_threads() {
    const char* wanted = std::getenv("OMP_NUM_THREADS");
    const int n = wanted ? std::atoi(wanted) : 0;
    cpu_set_t processors;
    if (n < 1 && sched_getaffinity(0, sizeof processors, &processors) == 0) return CPU_COUNT(&processors);
    return n < 1 ? 1 : n;
}

inline void pause_a_moment() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// About what passes between two loops of a minibatch: shorter than that it does not pay to fall asleep.
constexpr std::chrono::microseconds AWAKE{100};
constexpr std::chrono::microseconds HELD_UP{1000};
constexpr std::chrono::milliseconds SERIAL{20};
// About what it takes to move all that a processor's own cache holds to another one.
constexpr std::chrono::microseconds CACHE_MOVES{500};

class __attribute__((visibility("default"))) Pool {
    using Clock = std::chrono::steady_clock;

   public:
    static constexpr int MAX_THREADS = 64;
    using Part = void (*)(const void* body, long i);

    // One in the process, even though Theano compiles a module for each Op: what is visible is unique to GNU's loader.
    // Never deleted, since its threads end with the process.
    static Pool& of_the_process() {
        static Pool* pool = new Pool(number_of_threads());
        return *pool;
    }

    explicit Pool(int n_threads) : n_threads(n_threads < MAX_THREADS ? n_threads : MAX_THREADS) {
        for (auto& processor : processors) processor.store(-1);
        // Signals are for the threads that know of them.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        for (int thread = 1; thread < this->n_threads; ++thread) std::thread(&Pool::work, this, thread).detach();
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        // A forked process has none of these threads, and their numbers are those of its parent.
        pthread_atfork(nullptr, nullptr, [] { of_the_process().n_threads = 1; });
    }

    // part(body, i) for every i below n. Serial within another loop, and for a while after other processes held a thread
    // up. No template, so that the compiler reads and translates it, and each body, once.
    __attribute__((noinline)) void run(long n, Part part, const void* body) {
        const auto begin = Clock::now();
        if (n_threads == 1 || begin < serial_until.load() || busy.exchange(true, std::memory_order_acquire)) {
            for (long i = 0; i < n; ++i) part(body, i);
            return;
        }
        call = part;
        argument = body;
        size = n;
        finished.store(0, std::memory_order_relaxed);
        const uint32_t loop = generation.load(std::memory_order_relaxed) + 1;
        for (int thread = 0; thread < n_threads; ++thread)
            ranges[thread].ticket.store(uint64_t(loop) << 32 | (end(thread) - end(thread - 1)), std::memory_order_release);
        generation.store(loop);
        if (n_sleeping.load() > 0) {
            keep_apart();
            wake(generation);
        }
        const bool alone = take_parts(0, loop) == n_threads - 1;
        const auto own = Clock::now() - begin;
        wait_while([&] { return finished.load() < size; }, finished, caller_sleeps);
        // Others take about as long as the caller did, unless they have no processor: then a fifth of the time may be
        // lost to finding out whether this is still so.
        const Clock::duration lost = Clock::now() - begin - (alone ? own / 2 : 2 * own);
        if (alone || lost > HELD_UP) serial_until.store(Clock::now() + std::min<Clock::duration>(4 * lost, SERIAL));
        busy.store(false, std::memory_order_release);
    }

   private:
    // The number of the loop, and how many parts of the thread's range nobody has taken. A thread that comes late finds
    // the number of another loop, and touches nothing.
    struct Range {
        std::atomic<uint64_t> ticket{0};
        char apart[56];  // each in a cache line of its own
    };

    // The system wakes a thread where it ran before. If that is where the caller runs now, it would wait for its turn
    // there, for tens of milliseconds even while another processor has nothing to do.
    void keep_apart() {
        const int here = sched_getcpu();
        for (int thread = 1; thread < n_threads; ++thread) {
            if (processors[thread].load() != here) continue;
            cpu_set_t others;
            if (sched_getaffinity(0, sizeof others, &others) != 0) return;
            CPU_CLR(here, &others);
            if (CPU_COUNT(&others) > 0) sched_setaffinity(ids[thread].load(), sizeof others, &others);
        }
    }

    static void wake(std::atomic<uint32_t>& word) {
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    }

    // Waits awake at first, then asleep until somebody who changes the word and sees n_sleeping wakes it. Not with
    // sched_yield, which gives away milliseconds on a busy machine.
    template <class Condition>
    static void wait_while(Condition goes_on, std::atomic<uint32_t>& word, std::atomic<int>& n_sleeping) {
        const auto deadline = Clock::now() + AWAKE;
        while (goes_on() && Clock::now() < deadline) pause_a_moment();
        n_sleeping.fetch_add(1);
        for (uint32_t seen = word.load(); goes_on(); seen = word.load())
            syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
        n_sleeping.fetch_sub(1);
    }

    long end(int thread) const { return size * (thread + 1) / n_threads; }

    // Each thread has its own range: the same part of the data in every loop, which its cache still holds. What another
    // takes from it has to come from that cache and to go back, so that it is late in the next loop, too. Therefore a
    // thread is helped only where it is much later than that. Tells the caller how many had not even begun by then.
    int take_parts(int thread, uint32_t loop) {
        const auto begin = Clock::now();
        take_range(thread, loop);
        const auto done = Clock::now();
        const auto patience = done + std::min<Clock::duration>(3 * (done - begin), CACHE_MOVES);
        int n_absent = 0;
        for (int i = 1; i < n_threads; ++i) {
            const int owner = (thread + i) % n_threads;
            while (left(owner, loop) > 0 && Clock::now() < patience) pause_a_moment();
            const uint32_t parts = left(owner, loop);
            // Others than the caller must not ask for the size: the loop may have ended.
            if (thread == 0 && parts > 0 && parts == end(owner) - end(owner - 1)) ++n_absent;
            take_range(owner, loop);
        }
        return n_absent;
    }

    // How many parts of a range nobody has taken, while the loop lasts.
    uint32_t left(int owner, uint32_t loop) const {
        const uint64_t seen = ranges[owner].ticket.load(std::memory_order_acquire);
        return seen >> 32 == loop ? uint32_t(seen) : 0;
    }

    void take_range(int owner, uint32_t loop) {
        std::atomic<uint64_t>& ticket = ranges[owner].ticket;
        uint64_t seen = ticket.load(std::memory_order_acquire);
        while (seen >> 32 == loop && uint32_t(seen) > 0) {
            if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) continue;
            const uint32_t n_parts = size;
            call(argument, end(owner) - uint32_t(seen));
            if (finished.fetch_add(1) + 1 == n_parts && caller_sleeps.load() > 0) wake(finished);
            seen = ticket.load(std::memory_order_acquire);
        }
    }

    void work(int thread) {
        ids[thread].store(syscall(SYS_gettid));
        for (uint32_t seen = 0;;) {
            processors[thread].store(sched_getcpu());
            wait_while([&] { return generation.load() == seen; }, generation, n_sleeping);
            seen = generation.load();
            take_parts(thread, seen);
        }
    }

    int n_threads;
    std::atomic<bool> busy{false};
    std::atomic<Clock::time_point> serial_until{Clock::time_point{}};
    Part call = nullptr;
    const void* argument = nullptr;
    long size = 0;
    std::atomic<uint32_t> finished{0};    // parts of this loop; the caller waits on it
    std::atomic<uint32_t> generation{0};  // loops so far; the other threads wait on it
    std::atomic<int> n_sleeping{0}, caller_sleeps{0};
    Range ranges[MAX_THREADS];
    std::atomic<int> ids[MAX_THREADS], processors[MAX_THREADS];  // of each thread, and where it ran last
};

// body(i) for every i below n, on several threads where it pays. body must not throw, and no two parts may write to the
// same place.
template <class Body>
void for_each(long n, bool pays, const Body& body) {
    const Pool::Part part = [](const void* body, long i) { (*static_cast<const Body*>(body))(i); };
    if (pays)
        Pool::of_the_process().run(n, part, &body);
    else
        for (long i = 0; i < n; ++i) part(&body, i);
}

}  // namespace kernels
