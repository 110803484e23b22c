#include "requests.h"

#ifdef FLOW_EMULATOR_COUNT

#include <algorithm>

namespace emu {

void Requests::add(unsigned lane_number, const Request& access, std::uintptr_t address) {
  Lane& lane = lanes_[lane_number];
  std::size_t index = lane.next;
  if (lane.in_step && index < all_.size() && !all_[index].is_at(access)) leave_step(lane);
  if (!lane.in_step) {
    const std::size_t place = place_of(access);
    const std::size_t nth = lane.made[place]++;
    const std::vector<std::size_t>& requests = places_[place].requests;
    index = nth < requests.size() ? requests[nth] : all_.size();
  }
  if (index == all_.size()) all_.push_back(access);
  Request& request = all_[index];
  request.lanes |= 1U << lane_number;
  request.address[lane_number] = address;
  lane.next++;
}

void Requests::clear() {
  all_.clear();
  places_.clear();
  sorted_ = 0;
  for (Lane& lane : lanes_) {
    lane.next = 0;
    lane.in_step = true;
    lane.made.clear();
  }
}

/// The index of the access's place in `places_`, which then knows all requests.
std::size_t Requests::place_of(const Request& access) {
  const auto find = [this](const Request& wanted) {
    const auto found = std::ranges::find_if(places_, [&](const Place& place) { return place.access.is_at(wanted); });
    const auto index = static_cast<std::size_t>(found - places_.begin());
    if (found == places_.end()) places_.push_back({wanted, {}});
    return index;
  };
  for (; sorted_ < all_.size(); sorted_++) places_[find(all_[sorted_])].requests.push_back(sorted_);
  return find(access);
}

void Requests::leave_step(Lane& lane) {
  lane.in_step = false;
  for (std::size_t i = 0; i < lane.next; i++) lane.made[place_of(all_[i])]++;
}

}  // namespace emu

#endif
