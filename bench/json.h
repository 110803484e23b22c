#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

namespace flow::json {

/// A number; null for NaN and infinity.
inline std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

inline std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ') {
      result += ' ';
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

/// An object that grows field by field.
class Object {
 public:
  Object& number(const std::string& name, double value) { return raw(name, json::number(value)); }
  Object& text(const std::string& name, std::string_view value) { return raw(name, quoted(value)); }
  Object& boolean(const std::string& name, bool value) { return raw(name, value ? "true" : "false"); }
  /// `value` is JSON already.
  Object& raw(const std::string& name, std::string_view value) {
    if (!fields_.empty()) fields_ += ',';
    fields_ += quoted(name) + ':';
    fields_ += value;
    return *this;
  }
  std::string str() const { return '{' + fields_ + '}'; }

 private:
  std::string fields_;
};

/// An array of items that are JSON already.
template <class Items>
std::string array(const Items& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ",") + item;
  return '[' + text + ']';
}

}  // namespace flow::json
