# How a hash changes a register, how registers merge and what they tell; and tokens.
#
# A hash chooses one of m = 2^p registers by bits t … t + p - 1, and by its leading zeros and its low t bits s the
# update value k = zeros * 2^t + s + 1. A register holds the largest value u so far above a window of d bits: bit d - i
# is set if u - i was seen too (PCSA: a bitmap of all values, bit k - 1). A token is 26 bits of the hash and its leading
# zeros, which is all that any register asks for.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from sketches._ext.hashing cimport leading_zeros64


cdef enum:
    PCSA, HLL, ULL, ELL  # the kinds' numbers
    TOKEN_BITS = 26      # bits of the hash in a token, above the 6 bits that hold its leading zeros

ctypedef fused register_t:
    uint8_t
    uint32_t


cdef inline uint64_t ones(int n) noexcept nogil:
    return (<uint64_t>1 << n) - 1


cdef inline int update_value(uint64_t h, int p, int t) noexcept nogil:
    return (leading_zeros64(h | ones(p + t)) << t) + <int>(h & ones(t)) + 1


cdef inline register_t seen_below(register_t register, int distance, int d) noexcept nogil:
    """The values that a register has seen, as the window of a value that lies `distance` above its own."""
    if distance > d or register >> d == 0:  # out of reach, or nothing seen
        return 0
    # Window with its leader: bit d - i is u - i for i >= 0. Seen from u + distance, bit d - i is u + distance - i.
    return <register_t>((ones(d) + 1 | register & ones(d)) >> distance & ones(d))


cdef inline void insert(register_t* registers, uint64_t h, int p, int t, int d) noexcept nogil:
    cdef register_t* register = registers + (h >> t & ones(p))
    cdef int k = update_value(h, p, t)
    cdef int u = register[0] >> d
    if k > u:
        register[0] = <register_t>k << d | seen_below(register[0], k - u, d)
    elif k < u <= k + d:
        register[0] |= <register_t>1 << (d - (u - k))


cdef inline void insert_bit(uint64_t* registers, uint64_t h, int p) noexcept nogil:
    registers[h & ones(p)] |= <uint64_t>1 << (update_value(h, p, 0) - 1)


cdef inline void insert_all(void* registers, int kind, int p, const uint64_t* hashes, int64_t n) noexcept nogil:
    """One loop for each kind, so that t and d are constants in it."""
    cdef int64_t i
    if kind == ELL:
        for i in range(n):
            insert(<uint32_t*>registers, hashes[i], p, 2, 24)
    elif kind == ULL:
        for i in range(n):
            insert(<uint8_t*>registers, hashes[i], p, 0, 2)
    elif kind == HLL:
        for i in range(n):
            insert(<uint8_t*>registers, hashes[i], p, 0, 0)
    else:
        for i in range(n):
            insert_bit(<uint64_t*>registers, hashes[i], p)


cdef inline void merge(register_t* mine, const register_t* theirs, int64_t m, int d) noexcept nogil:
    cdef int64_t i
    cdef register_t high, low
    for i in range(m):
        high, low = mine[i], theirs[i]
        if high >> d < low >> d:
            high, low = low, high
        mine[i] = high | seen_below(low, <int>((high >> d) - (low >> d)), d)


cdef inline void count_bits(uint64_t bits, int64_t* seen) noexcept nogil:
    while bits:
        seen[63 - leading_zeros64(bits & -bits)] += 1
        bits &= bits - 1


cdef inline void read(const register_t* registers, int64_t m, int d, int64_t* tops, int64_t* seen) noexcept nogil:
    cdef int64_t i
    cdef int u
    for i in range(m):
        u = registers[i] >> d
        tops[u] += 1
        seen[u] += u > 0
        count_bits(registers[i] & ones(d), seen + u - d)


cdef inline void read_bits(const uint64_t* registers, int64_t m, int64_t* seen) noexcept nogil:
    cdef int64_t i
    for i in range(m):
        count_bits(registers[i], seen + 1)


cdef inline uint32_t token_of(uint64_t h) noexcept nogil:
    return <uint32_t>((h & ones(TOKEN_BITS)) << 6 | leading_zeros64(h | ones(TOKEN_BITS)))


cdef inline uint64_t hash_of(uint32_t token) noexcept nogil:
    """A hash with this token; it makes the same update as the token's own."""
    cdef int zeros = token & 63
    return (<uint64_t>1 << (63 - zeros) if zeros < 64 - TOKEN_BITS else 0) | token >> 6
