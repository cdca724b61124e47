// Memory for the while of a call.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace kernels {

// Memory that starts at a cache line and ends with its owner; empty() where there was none to get.
template <class T>
class Scratch {
    T* memory = nullptr;

  public:
    explicit Scratch(long n) {
        void* at;
        if (posix_memalign(&at, 64, std::max(1L, n) * sizeof(T)) == 0) memory = static_cast<T*>(at);
    }
    ~Scratch() { std::free(memory); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    bool empty() const { return memory == nullptr; }
    operator T*() const { return memory; }
};

}  // namespace kernels
