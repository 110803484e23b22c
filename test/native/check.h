#pragma once

// A test is a function, registered under the promise that it keeps. A failed check says why it failed. The program
// runs the tests that fit all arguments: TEXT fits names that contain it, ~TEXT fits names that do not.
// CHECK_SHARD=I/N, I from 0, runs every Nth of them, so that N processes share the work. The last line of the output is
// "N passed, N failed". Before it there is a line "N skipped: REASON" for each reason why tests were skipped.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace check {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Thrown by a test that cannot be run here. The text is the reason.
struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Test {
  std::string name;
  std::function<void()> body;
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Register {
  Register(std::string name, std::function<void()> body) { tests().push_back({std::move(name), std::move(body)}); }
};

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Failure(text.str());
}

template <class... Parts>
void that(bool holds, const Parts&... parts) {
  if (!holds) fail(parts...);
}

/// Ends the test as skipped, for a reason that no setup of the machine can change.
[[noreturn]] inline void skip(const std::string& reason) { throw Skipped(reason); }

/// Skips the test if something is missing that can be installed or built. DINOV3_FLOW_REQUIRE_ALL=1 makes that a
/// failure.
inline void need(bool present, const std::string& what) {
  if (present) return;
  const char* const strict = std::getenv("DINOV3_FLOW_REQUIRE_ALL");
  if (strict != nullptr && *strict != '\0') fail("needs ", what);
  skip("needs " + what);
}

/// ||actual - expected|| / ||expected||; a NaN anywhere is NaN.
inline double relative_l2(const std::vector<float>& actual, const std::vector<double>& expected) {
  that(actual.size() == expected.size(), "sizes differ: ", actual.size(), " and ", expected.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < actual.size(); i++) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / norm);
}

inline void close(const std::vector<float>& actual, const std::vector<double>& expected, double bound,
                  std::string_view what) {
  const double error = relative_l2(actual, expected);
  that(error <= bound, what, ": relative L2 ", error, " above ", bound);  // also false for NaN
}

inline bool fits(std::string_view name, std::string_view filter) {
  return filter.substr(0, 1) == "~" ? name.find(filter.substr(1)) == name.npos : name.find(filter) != name.npos;
}

inline int run(int argc, char** argv) {
  int passed = 0, failed = 0, shard = 0, shards = 1, found = 0;
  std::map<std::string, int> skipped;  // number of tests by reason
  if (const char* text = std::getenv("CHECK_SHARD")) std::sscanf(text, "%d/%d", &shard, &shards);
  for (const Test& test : tests()) {
    if (!std::all_of(argv + 1, argv + argc, [&](const char* filter) { return fits(test.name, filter); })) continue;
    if (found++ % shards != shard) continue;
    try {
      test.body();
      passed++;
    } catch (const Skipped& e) {
      skipped[e.what()]++;
    } catch (const std::exception& e) {
      failed++;
      std::printf("FAILED %s\n       %s\n", test.name.c_str(), e.what());
    }
  }
  for (const auto& [reason, count] : skipped) std::printf("%d skipped: %s\n", count, reason.c_str());
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && (passed > 0 || !skipped.empty()) ? 0 : 1;
}

}  // namespace check
