// SPDX-License-Identifier: Apache-2.0
// Capture files are libpcap's business: it reads what Wireshark and tcpdump write today (pcapng, nanoseconds, swapped
// byte order), which 60 lines of our own would do for classic pcap alone.
#include "tools/lbsim/frames.hpp"

#include <pcap/pcap.h>

#include <charconv>
#include <sstream>

namespace weir::lbsim {
namespace {

struct CloseCapture {
  void operator()(pcap_t* capture) const { pcap_close(capture); }
};
using Capture = std::unique_ptr<pcap_t, CloseCapture>;
constexpr u64 second = 1'000'000'000;
constexpr int snap_length = 262144;  // tcpdump's; the longest that libpcap reads

class CaptureSource : public FrameSource {
 public:
  CaptureSource(Capture capture, std::string path) : capture_(std::move(capture)), path_(std::move(path)) {}

  Result<std::optional<Arrival>> next() override {
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    const int got = pcap_next_ex(capture_.get(), &header, &data);
    if (got == PCAP_ERROR_BREAK) return std::nullopt;
    ++number_;
    if (got != 1)
      return fail(Fault::invalid, "{}: packet {} cannot be read: {}", path_, number_, pcap_geterr(capture_.get()));
    if (header->caplen < header->len)
      return fail(Fault::invalid,
                  "{}: packet {} is cut to {} of {} bytes, so what would leave is not known; capture with -s 0", path_,
                  number_, header->caplen, header->len);
    const u64 time = static_cast<u64>(header->ts.tv_sec) * second + static_cast<u64>(header->ts.tv_usec);
    return Arrival{"", time, {data, data + header->caplen}};
  }

 private:
  Capture capture_;
  std::string path_;
  u64 number_ = 0;
};

class HexSource : public FrameSource {
 public:
  explicit HexSource(std::istream& input) : input_(input) {}

  Result<std::optional<Arrival>> next() override {
    std::string line;
    while (std::getline(input_, line)) {
      ++number_;
      std::istringstream words(line);
      std::string first;
      std::string second_word;
      if (!(words >> first) || first.starts_with('#')) continue;
      const bool named = static_cast<bool>(words >> second_word);
      if (std::string more; words >> more)
        return fail(Fault::invalid, "line {}: more than two words; write [INTERFACE] HEX", number_);
      if (first == "!restore") return Arrival{.restore = true};
      if (first == "!wait") {
        u32 seconds = 0;
        const auto [end, error] = std::from_chars(second_word.data(), second_word.data() + second_word.size(), seconds);
        if (error != std::errc{} || end != second_word.data() + second_word.size())
          return fail(Fault::invalid, "line {}: write !wait and a whole number of seconds", number_);
        return Arrival{.wait = seconds};
      }
      auto frame = bytes_of(named ? second_word : first);
      if (!frame) return tl::unexpected(frame.error());
      return Arrival{named ? first : "", 0, std::move(*frame)};
    }
    return std::nullopt;
  }

 private:
  Result<std::vector<u8>> bytes_of(const std::string& digits) const {
    std::vector<u8> bytes;
    u32 value = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) {
      const char c = digits[i];
      const char* alphabet = "0123456789abcdef";
      const char* found =
          std::char_traits<char>::find(alphabet, 16, c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
      if (!found)
        return fail(Fault::invalid, "line {}: '{}' is no hexadecimal digit; write [INTERFACE] HEX", number_, c);
      value = value << 4 | static_cast<u32>(found - alphabet);
      if (i % 2 == 1) bytes.push_back(static_cast<u8>(value));
    }
    if (digits.size() % 2 == 1) return fail(Fault::invalid, "line {}: an odd number of digits", number_);
    return bytes;
  }

  std::istream& input_;
  u64 number_ = 0;
};

class PcapWriter : public CaptureWriter {
 public:
  PcapWriter(Capture capture, pcap_dumper_t* dumper, std::string path)
      : capture_(std::move(capture)), dumper_(dumper), path_(std::move(path)) {}
  ~PcapWriter() override {
    if (dumper_) pcap_dump_close(dumper_);
  }

  void write(std::span<const u8> frame, u64 time) override {
    pcap_pkthdr header{};
    header.ts.tv_sec = static_cast<time_t>(time / second);
    header.ts.tv_usec = static_cast<suseconds_t>(time % second);  // nanoseconds: the file was opened so
    header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
    pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, frame.data());
  }

  Result<> close() override {
    const bool written = pcap_dump_flush(dumper_) == 0 && std::ferror(pcap_dump_file(dumper_)) == 0;
    pcap_dump_close(std::exchange(dumper_, nullptr));
    if (!written) return fail(Fault::internal, "{}: cannot be written to the end; is there room?", path_);
    return {};
  }

 private:
  Capture capture_;
  pcap_dumper_t* dumper_;
  std::string path_;
};

}  // namespace

Result<std::unique_ptr<FrameSource>> open_capture(const std::string& path) {
  char error[PCAP_ERRBUF_SIZE] = {};
  Capture capture(pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error));
  if (!capture) return fail(Fault::invalid, "{}: cannot be read as a capture: {}", path, std::string(error));
  if (const int type = pcap_datalink(capture.get()); type != DLT_EN10MB) {
    const char* name = pcap_datalink_val_to_name(type);
    return fail(Fault::invalid,
                "{}: its link type is {}, lbsim takes Ethernet (EN10MB); capture on an Ethernet interface", path,
                name ? name : std::to_string(type));
  }
  return std::make_unique<CaptureSource>(std::move(capture), path);
}

std::unique_ptr<FrameSource> read_hex(std::istream& input) { return std::make_unique<HexSource>(input); }

Result<std::unique_ptr<CaptureWriter>> CaptureWriter::create(const std::string& path) {
  Capture capture(pcap_open_dead_with_tstamp_precision(DLT_EN10MB, snap_length, PCAP_TSTAMP_PRECISION_NANO));
  pcap_dumper_t* dumper = capture ? pcap_dump_open(capture.get(), path.c_str()) : nullptr;
  if (!dumper)
    return fail(Fault::invalid, "cannot write the capture: {}", capture ? pcap_geterr(capture.get()) : "no memory");
  return std::make_unique<PcapWriter>(std::move(capture), dumper, path);
}

std::string hex(std::span<const u8> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const u8 byte : bytes) text += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 0xf]};
  return text;
}

}  // namespace weir::lbsim
