#pragma once

#include <string>
#include <vector>

#include "ops/ops.h"

namespace flow {

/// Copies of intermediate results, for comparison with an oracle. A null Trace* records nothing.
class Trace {
 public:
  struct Entry {
    std::string name;
    int rows;
    int cols;
    std::vector<float> values;
  };

  template <class Kind>
  void record(Ops& ops, const std::string& name, Matrix<Kind> m) {
    Entry entry{prefix_ + name, m.rows, m.cols, std::vector<float>(static_cast<std::size_t>(m.rows) * m.cols)};
    ops.read(m, entry.values);
    entries_.push_back(std::move(entry));
  }

  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }
  void clear() { entries_.clear(); }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::string prefix_;
  std::vector<Entry> entries_;
};

}  // namespace flow
