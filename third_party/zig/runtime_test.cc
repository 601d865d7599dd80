// Checks parts of the C++ runtime library of the toolchain: what it has in objects of their own, and what needs start-up code.
#include <condition_variable>
#include <filesystem>
#include <iostream>
#include <locale>
#include <memory>
#include <mutex>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <strstream>
#include <system_error>
#include <thread>
#include <vector>

#define CHECK(condition)                                                             \
  if (!(condition)) {                                                                \
    std::cerr << __FILE__ << ":" << __LINE__ << ": false: " << #condition << "\n";   \
    failures++;                                                                      \
  }

static int failures = 0;

struct Shape {
  virtual ~Shape() = default;
};
struct Square : Shape {};

int main() {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << std::string(40, 'x').size() << " " << 1.5;
  CHECK(text.str() == "40 1.5");

  try {
    std::vector<int>().at(1);
    CHECK(!"an index out of range raises an error");
  } catch (const std::out_of_range &e) {
    CHECK(std::string(e.what()) == "vector");
  }

  std::unique_ptr<Shape> shape = std::make_unique<Square>();
  CHECK(dynamic_cast<Square *>(shape.get()) != nullptr);
  CHECK(std::regex_match("robot-12", std::regex("[a-z]+-[0-9]+")));
  CHECK(std::filesystem::path("/a/b.c").extension() == ".c");
  CHECK(std::make_error_code(std::errc::invalid_argument).message() == "Invalid argument");

  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::thread thread([&] {
    std::lock_guard<std::mutex> lock(mutex);
    done = true;
    changed.notify_one();
  });
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return done; });
  lock.unlock();
  thread.join();

  char buffer[8] = {};
  std::ostrstream old(buffer, sizeof(buffer));
  old << 42 << std::ends;
  CHECK(std::string(buffer) == "42");
  std::cout << failures << " failed\n";
  return failures != 0;
}
