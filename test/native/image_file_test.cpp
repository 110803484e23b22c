// The file of a release's images: what tools/cmake/pack_images.py packs is read back, and a damaged file is an error.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/image_file.h"
#include "cuda/inflate.h"
#include "ops/error.h"

using namespace flow;
using namespace flow::cuda;

namespace {

std::vector<unsigned char> from_hex(std::string_view hex) {
  std::vector<unsigned char> bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<unsigned char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string text_of(const std::vector<unsigned char>& bytes) { return {bytes.begin(), bytes.end()}; }

/// The squares of 0 to 119, 574 bytes.
std::string squares() {
  std::string text;
  for (int i = 0; i < 120; i++) text += std::to_string(i * i) + " ";
  return text;
}

// Streams of zlib: a stored block, one of fixed codes, and one of codes of its own.
constexpr std::string_view stored = "011000efff666c6f772c20666c6f772c20666c6f77", fixed = "4bcbc92fd75148839300";
constexpr std::string_view squares_packed =
    "2591c901c43008035ba10473184cff8ded28fb3209020671ccad6ccddbe25ab6d55a973d373fc73c78abc8a2582468e2f2beb58c424f35ba"
    "2ade577663ed4e5ba36bdee17bf8ffc82fba6df5a5d00f1ddc69e5eae941734f4d298dbb9adb0268910c44fe4a0c10c611858b38ce5ae429"
    "8b3a0e1915d18a46ff9eb28b2e5591f41734e449bf2c3aa766e4302d1f737321a8034b89aa12be2a48ab61aed1b65ae31ef6b9ae85531b93"
    "b1ab9def285afef5214b95e326157da9eda14b3ffacdb932878a61a6cd65ee0c04b3b03c59ff02be57ba45c3fc1ef4ab3d501041899b6cb9"
    "ef7cb7925927beb88e0c6e14d88cd85d75ee918a4b3e7acb527f7237fe974e791e57f6c7e812b1df51befb64ddef40ba5aae0e58ce463f";

const check::Register kinds("all kinds of blocks are unpacked", [] {
  for (const std::string_view hex : {stored, fixed}) {
    check::that(text_of(inflate(from_hex(hex), 16)) == "flow, flow, flow", "of ", hex);
  }
  check::that(text_of(inflate(from_hex(squares_packed), squares().size())) == squares(), "codes of its own");
});

bool is_refused(const std::vector<unsigned char>& packed, std::size_t size) {
  try {
    inflate(packed, size);
    return false;
  } catch (const Error& error) {
    return error.code() == ErrorCode::device && std::string_view(error.what()).find("damaged") != std::string::npos;
  }
}

const check::Register damaged("a stream that is cut off, or of another size, is refused", [] {
  const std::vector<unsigned char> whole = from_hex(squares_packed);
  const std::size_t size = squares().size();
  check::that(is_refused(whole, size - 1) && is_refused(whole, size + 1), "another size");
  for (std::size_t length = 0; length + 1 < whole.size(); length++) {
    check::that(is_refused({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}, size), length,
                " bytes");
  }
});

const check::Register flipped("a stream with a wrong bit is refused, or has the size that was asked for", [] {
  const std::vector<unsigned char> whole = from_hex(squares_packed);
  const std::size_t size = squares().size();
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); bit++) {
    std::vector<unsigned char> wrong = whole;
    wrong[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
    if (is_refused(wrong, size)) {
      refused++;
    } else {
      check::that(inflate(wrong, size).size() == size, "bit ", bit, ": another size");
    }
  }
  check::that(refused > 100, "only ", refused, " are refused");
});

// ---- the file ----------------------------------------------------------------------------------------------------

/// A folder with a file of three images, removed at the end.
struct Packed {
  std::filesystem::path folder;
  std::string code = std::string("\x7f", 1) + "ELF" + std::string(5000, '\0') + "end", text = squares(), id;

  Packed() {
    check::need(std::system("python3 --version > /dev/null 2>&1") == 0, "python3");
    std::string name = (std::filesystem::temp_directory_path() / "flow-images-XXXXXX").string();
    check::that(mkdtemp(name.data()) != nullptr, "no folder");
    folder = name;
    write("a.cubin", code);
    write("b.cubin", text);
    write("c.ptx", text + code);
    write("list", "sm_86 11040 first " + path("a.cubin") + "\nsm_86 11040 second " + path("b.cubin") +
                      "\ncompute_80 11050 first " + path("c.ptx") + "\n");
    const std::string command = "python3 " FLOW_PACK_IMAGES " " + path("list") + " " + path("bin") + " " + path("id.h");
    check::that(std::system(command.c_str()) == 0, command);
    const std::string define = read("id.h");
    const std::size_t quote = define.find('"');
    id = define.substr(quote + 1, define.rfind('"') - quote - 1);
  }
  ~Packed() { std::filesystem::remove_all(folder); }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;

  std::string path(const char* name) const { return (folder / name).string(); }
  void write(const char* name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
  }
  std::string read(const char* name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

const check::Register round_trip("a file holds the images that were packed, by architecture", [] {
  const Packed packed;
  const ImageFile file = ImageFile::read(packed.path("bin"), packed.id);
  check::that(file.error.empty(), file.error);
  check::that(architectures(file.sets) == "sm_86 compute_80", architectures(file.sets));
  check::that(file.sets[0].driver == 11040 && file.sets[1].driver == 11050, "the drivers");
  check::that(file.sets[0].images.size() == 2 && file.sets[1].images.size() == 1, "the numbers");
  const auto is = [](const KernelImage& image, std::string_view name, const std::string& content) {
    check::that(image.name == name, image.name);
    check::that(text_of(unpack(image)) == content + '\0', name, " is another");
  };
  is(file.sets[0].images[0], "first", packed.code);
  is(file.sets[0].images[1], "second", packed.text);
  is(file.sets[1].images[0], "first", packed.text + packed.code);
});

const check::Register wrong_file("a file that is missing, cut off or another version's says so", [] {
  const Packed packed;
  const auto expect = [&](const std::string& path, const std::string& id, std::string_view part) {
    const ImageFile file = ImageFile::read(path, id);
    check::that(file.sets.empty() && file.error.find(part) != std::string::npos, "\"", file.error, "\" is not ", part);
    check::that(file.error.find("install the package again") != std::string::npos, "no remedy");
  };
  expect(packed.path("none"), packed.id, "cannot be read");
  expect(packed.path("bin"), "another", "of another version");
  const std::string whole = packed.read("bin");
  for (std::size_t size = 1; size < whole.size(); size += 7) {
    packed.write("part", whole.substr(0, size));
    expect(packed.path("part"), packed.id, "cut off");
  }
});

}  // namespace
