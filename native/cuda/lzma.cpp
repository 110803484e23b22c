// LZMA as Igor Pavlov specifies it (lzma-specification.txt of the LZMA SDK). Every decision of the format is a binary
// one, coded with the probability that it had so far in its context. A decision takes a few cycles. So unpacking takes
// as long as the packed size says, and the kernels of one GPU are half a megabyte.

#include "cuda/lzma.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "ops/error.h"

namespace flow::cuda {

namespace {

[[noreturn]] void damaged() {
  throw Error(ErrorCode::device, "CUDA: the kernels' file is damaged; install the package again");
}

/// The probability that a bit is 0, in 2048ths.
using Probability = std::uint16_t;
constexpr int probability_bits = 11, adaptation = 5;

/// `Count` probabilities of one half.
template <std::size_t Count>
struct Probabilities : std::array<Probability, Count> {
  Probabilities() { this->fill(1U << (probability_bits - 1)); }
};

class RangeDecoder {
 public:
  explicit RangeDecoder(std::span<const unsigned char> bytes) : bytes_(bytes) {
    if (next_byte() != 0) damaged();
    for (int i = 0; i < 4; i++) code_ = code_ << 8 | next_byte();
  }

  unsigned bit(Probability& zero) {
    normalize();
    const std::uint32_t bound = (range_ >> probability_bits) * zero;
    if (code_ < bound) {
      range_ = bound;
      zero = static_cast<Probability>(zero + (((1U << probability_bits) - zero) >> adaptation));
      return 0;
    }
    range_ -= bound;
    code_ -= bound;
    zero = static_cast<Probability>(zero - (zero >> adaptation));
    return 1;
  }

  /// `count` bits of probability one half, the highest first.
  unsigned even_bits(int count) {
    unsigned bits = 0;
    for (int i = 0; i < count; i++) {
      normalize();
      range_ >>= 1;
      const unsigned one = code_ >= range_ ? 1 : 0;
      if (one != 0) code_ -= range_;
      bits = bits << 1 | one;
    }
    return bits;
  }

  /// `count` bits, the highest first, each with a probability for all those before it.
  unsigned tree(std::span<Probability> probabilities, int count) {
    unsigned node = 1;
    for (int i = 0; i < count; i++) node = node << 1 | bit(probabilities[node]);
    return node - (1U << count);
  }

  /// The same, the lowest first.
  unsigned reverse_tree(std::span<Probability> probabilities, int count) {
    unsigned node = 1, bits = 0;
    for (int i = 0; i < count; i++) {
      const unsigned one = bit(probabilities[node]);
      node = node << 1 | one;
      bits |= one << i;
    }
    return bits;
  }

  /// Whether the stream ends here, as its coder leaves it.
  bool at_end() {
    normalize();
    return code_ == 0 && at_ == bytes_.size();
  }

 private:
  void normalize() {
    if (range_ >= 1U << 24) return;
    range_ <<= 8;
    code_ = code_ << 8 | next_byte();
  }
  unsigned next_byte() {
    if (at_ == bytes_.size()) damaged();
    return bytes_[at_++];
  }

  std::span<const unsigned char> bytes_;
  std::size_t at_ = 0;
  std::uint32_t range_ = 0xffffffff, code_ = 0;
};

constexpr std::size_t position_states = 4;  // pb = 2: contexts by the position modulo 4
constexpr std::size_t states = 12;          // what the last few symbols were
constexpr unsigned shortest_match = 2;

/// Of a match, beyond the shortest: 0 to 271.
class LengthDecoder {
 public:
  unsigned next(RangeDecoder& range, std::size_t position_state) {
    if (range.bit(choices_[0]) == 0) return range.tree(low_[position_state], 3);
    if (range.bit(choices_[1]) == 0) return 8 + range.tree(middle_[position_state], 3);
    return 16 + range.tree(high_, 8);
  }

 private:
  Probabilities<2> choices_;
  std::array<Probabilities<8>, position_states> low_, middle_;
  Probabilities<256> high_;
};

/// Of a match, beyond 1. The end marker has the largest, 2^32 - 1.
class DistanceDecoder {
 public:
  unsigned next(RangeDecoder& range, unsigned length) {
    const unsigned slot = range.tree(slots_[std::min(length, 3U)], 6);
    if (slot < 4) return slot;
    const int low_bits = static_cast<int>(slot / 2) - 1;
    const unsigned high = (2 | (slot & 1)) << low_bits;
    if (slot < 14) return high + range.reverse_tree(std::span(near_).subspan(high - slot), low_bits);
    return high + (range.even_bits(low_bits - 4) << 4) + range.reverse_tree(aligned_, 4);
  }

 private:
  std::array<Probabilities<64>, 4> slots_;
  Probabilities<1 + 128 - 14> near_;
  Probabilities<16> aligned_;
};

class Decoder {
 public:
  Decoder(std::span<const unsigned char> packed, std::size_t size) : range_(packed), out_(size) {}

  std::vector<unsigned char> run() {
    for (;;) {
      const std::size_t position_state = at_ % position_states;
      if (range_.bit(is_match_[state_][position_state]) == 0) {
        put(literal());
        state_ = state_ < 4 ? 0 : state_ < 10 ? state_ - 3 : state_ - 6;
      } else if (range_.bit(is_repeated_[state_]) == 0) {
        if (!copy_match(position_state)) break;
      } else {
        copy_repeated(position_state);
      }
    }
    if (at_ != out_.size() || !range_.at_end()) damaged();
    return std::move(out_);
  }

 private:
  bool after_match() const { return state_ >= 7; }

  void put(unsigned byte) {
    if (at_ == out_.size()) damaged();
    out_[at_++] = static_cast<unsigned char>(byte);
  }

  /// A byte in the context of the one before it and, behind a match, of the one that would continue the match.
  unsigned literal() {
    const unsigned before = at_ == 0 ? 0 : out_[at_ - 1];
    const std::span<Probability> probabilities(literals_[before >> 5]);  // lc = 3
    unsigned node = 1;
    if (after_match()) {
      const unsigned expected = out_[at_ - distances_[0] - 1];
      for (int i = 7; i >= 0; i--) {
        const unsigned expected_bit = expected >> i & 1;
        const unsigned bit = range_.bit(probabilities[(1 + expected_bit) * 256 + node]);
        node = node << 1 | bit;
        if (bit != expected_bit) break;
      }
    }
    while (node < 256) node = node << 1 | range_.bit(probabilities[node]);
    return node - 256;
  }

  /// A match at a distance of its own. False if it is the end marker.
  bool copy_match(std::size_t position_state) {
    const unsigned length = lengths_.next(range_, position_state);
    const unsigned distance = distance_.next(range_, length);
    if (distance == 0xffffffff) return false;
    distances_ = {distance, distances_[0], distances_[1], distances_[2]};
    state_ = after_match() ? 10 : 7;
    copy(length + shortest_match);
    return true;
  }

  /// A match, or a single byte, at one of the last four distances.
  void copy_repeated(std::size_t position_state) {
    if (range_.bit(is_last_[state_][0]) == 0) {
      if (range_.bit(is_long_[state_][position_state]) == 0) {
        state_ = after_match() ? 11 : 9;
        return copy(1);
      }
    } else {
      const std::size_t which = range_.bit(is_last_[state_][1]) == 0 ? 1 : 2 + range_.bit(is_last_[state_][2]);
      std::rotate(distances_.begin(), distances_.begin() + which, distances_.begin() + which + 1);
    }
    state_ = after_match() ? 11 : 8;
    copy(repeated_lengths_.next(range_, position_state) + shortest_match);
  }

  void copy(std::size_t length) {
    if (distances_[0] >= at_ || length > out_.size() - at_) damaged();
    const std::size_t from = at_ - distances_[0] - 1;
    for (std::size_t i = 0; i < length; i++) out_[at_ + i] = out_[from + i];  // both may overlap
    at_ += length;
  }

  RangeDecoder range_;
  std::vector<unsigned char> out_;
  std::size_t at_ = 0, state_ = 0;
  std::array<unsigned, 4> distances_{};  // of the last matches, the last first
  std::array<Probabilities<position_states>, states> is_match_, is_long_;
  Probabilities<states> is_repeated_;
  std::array<Probabilities<3>, states> is_last_;  // of those distances, whether it is not the first, second, third
  std::array<Probabilities<0x300>, 8> literals_;
  LengthDecoder lengths_, repeated_lengths_;
  DistanceDecoder distance_;
};

}  // namespace

std::vector<unsigned char> unpack_lzma(std::span<const unsigned char> packed, std::size_t size) {
  return Decoder(packed, size).run();
}

}  // namespace flow::cuda
