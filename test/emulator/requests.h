#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "block.h"
#include "count.h"

namespace emu {

/// One memory instruction of one warp: the accesses of its lanes.
struct Request {
  const void* place;  // an address in the code, or the file that `line` is in
  int line;
  Traffic traffic;
  bool shared;
  std::uint32_t bytes;  // of each lane
  std::uint32_t lanes = 0;
  std::uintptr_t address[warp_lanes];

  bool is_at(const Request& other) const {
    return place == other.place && line == other.line && traffic == other.traffic && shared == other.shared &&
           bytes == other.bytes;
  }
};

/// Puts the accesses of the lanes of a warp together. Lanes run one after the other here, so accesses belong to one
/// request if they come from the same place in the code, and each is its lane's nth access from that place since the
/// lanes were last together.
class Requests {
 public:
  /// Adds an access of `lane`. `access` says where it is; its lanes and addresses are not read.
  void add(unsigned lane, const Request& access, std::uintptr_t address);
  /// In the order in which their first lanes made them.
  const std::vector<Request>& all() const { return all_; }
  void clear();

 private:
  struct Lane {
    std::size_t next = 0;  // a lane in step made exactly the accesses all_[0..next)
    bool in_step = true;
    std::map<std::size_t, std::size_t> made;  // else: the number of its accesses by place, an index of `places_`
  };

  std::size_t place_of(const Request& access);
  void leave_step(Lane& lane);

  std::vector<Request> all_;
  Lane lanes_[warp_lanes];
  struct Place {
    Request access;                     // what its requests have in common
    std::vector<std::size_t> requests;  // in order
  };
  std::vector<Place> places_;  // only needed for lanes out of step
  std::size_t sorted_ = 0;     // the places know all_[0..sorted_)
};

}  // namespace emu
