// SPDX-License-Identifier: Apache-2.0
#include "control/model/text.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace weir::model;
using weir::Fault;
using weir::Protocol;

std::string fault_of(std::string_view text) {
  const auto endpoint = parse_endpoint(text);
  return endpoint ? to_text(*endpoint) : endpoint.error().message;
}

TEST_CASE("an endpoint's text comes back as it was written") {
  for (const char* text : {"192.0.2.1:80", "192.0.2.1:0", "0.0.0.0:1", "255.255.255.255:65535", "[2001:db8::1]:443",
                           "[2001:db8::1]:0", "[::]:9464"})
    CHECK(to_text(*parse_endpoint(text)) == text);
  CHECK(to_text(*parse_endpoint("[2001:DB8:0:0::01]:443")) == "[2001:db8::1]:443");
}

TEST_CASE("an IPv4 address is held mapped, in network order") {
  const weir::Ip ip = *parse_ip("192.0.2.1");
  CHECK(ip == weir::Ip{{0, 0, 0xffff0000, 0x010200c0}});
  CHECK(weir::is_v4(ip));
  CHECK_FALSE(weir::is_v4(*parse_ip("2001:db8::1")));
}

TEST_CASE("text that is nearly an address is refused") {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv, "192.0.2"sv, "192.0.2.256"sv, "192.0.2.01"sv, " 192.0.2.1"sv, "192.0.2.1 "sv, "192.0.2.1\0"sv, "0x7f.1"sv,
        "2001:db8::g"sv, "2001:db8"sv, "fe80::1%eth0"sv, "[2001:db8::1]"sv, "web.example"sv}) {
    CAPTURE(text);
    CHECK_FALSE(parse_ip(text).has_value());
  }
}

TEST_CASE("an IPv4 address in IPv6 form is refused, and the message says how to write it") {
  CHECK(parse_ip("::ffff:192.0.2.1").error().message ==
        "\"::ffff:192.0.2.1\" is an IPv4 address in IPv6 form; write it as 192.0.2.1");
  CHECK_FALSE(parse_endpoint("[::ffff:c000:201]:80").has_value());
}

TEST_CASE("a wrong endpoint's message says what is wrong with it") {
  CHECK(fault_of("192.0.2.1") == "\"192.0.2.1\" has no port; write ADDRESS:PORT, for example 192.0.2.1:80");
  CHECK(fault_of("192.0.2.1:65536") ==
        "\"192.0.2.1:65536\": port \"65536\" is not a number from 0 (every port) to 65535");
  CHECK(fault_of("192.0.2.1:-1") == "\"192.0.2.1:-1\": port \"-1\" is not a number from 0 (every port) to 65535");
  CHECK(fault_of("192.0.2.1:+8") == "\"192.0.2.1:+8\": port \"+8\" is not a number from 0 (every port) to 65535");
  CHECK(fault_of("192.0.2.1:80x") == "\"192.0.2.1:80x\": port \"80x\" is not a number from 0 (every port) to 65535");
  CHECK(fault_of("192.0.2.1:") == "\"192.0.2.1:\": port \"\" is not a number from 0 (every port) to 65535");
  CHECK(fault_of("2001:db8::1:80") ==
        "\"2001:db8::1:80\": put an IPv6 address in brackets, for example [2001:db8::1]:80");
  CHECK(fault_of("[2001:db8::1]") == "\"[2001:db8::1]\" is not [ADDRESS]:PORT, for example [2001:db8::1]:80");
  CHECK(fault_of("[2001:db8::1]80") == "\"[2001:db8::1]80\" is not [ADDRESS]:PORT, for example [2001:db8::1]:80");
  CHECK(fault_of("[192.0.2.1]:80") == "\"[192.0.2.1]:80\": write an IPv4 address without brackets");
  CHECK(fault_of("[") == "\"[\" is not [ADDRESS]:PORT, for example [2001:db8::1]:80");
  CHECK(fault_of("") == "\"\" has no port; write ADDRESS:PORT, for example 192.0.2.1:80");
}

TEST_CASE("a prefix's text comes back as it was written") {
  for (const char* text : {"198.18.0.0/16", "0.0.0.0/0", "192.0.2.1/32", "128.0.0.0/1", "198.18.0.4/30", "::/0",
                           "2001:db8:e::/64", "2001:db8::1/128", "8000::/1", "2001:db8::ff00:0/104"})
    CHECK(to_text(*parse_prefix(text)) == text);
  CHECK(*parse_prefix("198.18.0.0/15") == Prefix{*parse_ip("198.18.0.0"), 15});
}

TEST_CASE("text that is nearly a prefix is refused with what is wrong") {
  const auto complaint = [](const char* text) {
    const auto prefix = parse_prefix(text);
    return prefix ? to_text(*prefix) : prefix.error().message;
  };
  CHECK(complaint("198.18.0.0") == "\"198.18.0.0\" has no length; write ADDRESS/LENGTH, for example 198.18.0.0/16");
  CHECK(complaint("198.18.0.0/33") == "\"198.18.0.0/33\": length \"33\" is not a number from 0 to 32");
  CHECK(complaint("2001:db8::/129") == "\"2001:db8::/129\": length \"129\" is not a number from 0 to 128");
  CHECK(complaint("198.18.0.0/") == "\"198.18.0.0/\": length \"\" is not a number from 0 to 32");
  CHECK(complaint("198.18.0.0/-1") == "\"198.18.0.0/-1\": length \"-1\" is not a number from 0 to 32");
  CHECK(complaint("198.18.0.0/16x") == "\"198.18.0.0/16x\": length \"16x\" is not a number from 0 to 32");
  CHECK(complaint("198.18/16") == "\"198.18\" is not an IPv4 or IPv6 address");
  CHECK(complaint("198.18.3.1/16") == "\"198.18.3.1/16\" has bits beyond its length; write 198.18.0.0/16");
  CHECK(complaint("2001:db8:e::1/64") == "\"2001:db8:e::1/64\" has bits beyond its length; write 2001:db8:e::/64");
  CHECK(complaint("192.0.2.1/0") == "\"192.0.2.1/0\" has bits beyond its length; write 0.0.0.0/0");
}

TEST_CASE("a VIP without a protocol is TCP, and only tcp and udp are protocols") {
  CHECK(parse_vip("192.0.2.1:80")->protocol == Protocol::tcp);
  CHECK(parse_vip("tcp:192.0.2.1:80")->protocol == Protocol::tcp);
  CHECK(parse_vip("udp:[2001:db8::1]:53")->protocol == Protocol::udp);
  CHECK(to_text(parse_vip("udp:[2001:db8::1]:53")->endpoint) == "[2001:db8::1]:53");
  CHECK(parse_vip("[2001:db8::1]:53")->protocol == Protocol::tcp);
  CHECK(parse_vip("sctp:192.0.2.1:80").error().message == "protocol \"sctp\" is not known; write tcp or udp");
  CHECK(parse_vip("TCP:192.0.2.1:80").error().message == "protocol \"TCP\" is not known; write tcp or udp");
  CHECK(parse_vip("tcp").error().message == "\"tcp\" has no port; write ADDRESS:PORT, for example 192.0.2.1:80");
  CHECK_FALSE(parse_vip("tcp:tcp:192.0.2.1:80").has_value());
  CHECK_FALSE(parse_vip("fe80::1:80").has_value());
}

TEST_CASE("every word of the vocabulary comes back as it was written, and no other is accepted") {
  for (const char* word : {"nat", "l2dsr", "ipip", "gue"}) CHECK(to_text(*parse_mode(word)) == word);
  for (const char* word : {"5tuple", "source"}) CHECK(to_text(*parse_hash(word)) == word);
  for (const char* word : {"active", "draining", "maint"}) CHECK(to_text(*parse_admin(word)) == word);
  for (const char* word : {"tcp", "udp"}) CHECK(to_text(*parse_protocol(word)) == word);
  CHECK(parse_mode("NAT").error().fault == Fault::invalid);
  CHECK(parse_mode("ipip6").error().message == "mode \"ipip6\" is not known; write nat, l2dsr, ipip or gue");
  CHECK_FALSE(parse_hash("").has_value());
  CHECK_FALSE(parse_admin("drain").has_value());
}

TEST_CASE("a seed is 32 hexadecimal digits") {
  const std::string text = "00112233445566778899aabbccddeeff";
  const Seed seed = *parse_seed(text);
  CHECK(seed[1] == 0x11);
  CHECK(seed[15] == 0xff);
  CHECK(to_text(seed) == text);
  CHECK(to_text(*parse_seed("00112233445566778899AABBCCDDEEFF")) == text);
  for (const char* wrong :
       {"", "0112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff0", "g0112233445566778899aabbccddeeff",
        " 0112233445566778899aabbccddeeff", "-0112233445566778899aabbccddeeff", "0x112233445566778899aabbccddeeff"})
    CHECK_FALSE(parse_seed(wrong).has_value());
}

TEST_CASE("names are short, lower-case, and begin with a letter or digit") {
  for (const char* name : {"web", "b1", "0", "a.b_c-d", "198.51.100.11-8080"}) CHECK(name_fault(name).empty());
  CHECK(name_fault(std::string(63, 'a')).empty());
  CHECK(name_fault(std::string(64, 'a')) == "is longer than 63 characters");
  CHECK(name_fault("") == "is empty");
  CHECK(name_fault("-") == "begins with something else than a-z or 0-9");
  CHECK(name_fault("Web") == "begins with something else than a-z or 0-9");
  for (const char* name : {"a/b", "a b", "wEb", "a\n", "a\xc3\xa9"})
    CHECK(name_fault(name) == "has a character outside a-z 0-9 . _ -");
}

TEST_CASE("a derived backend name is valid and tells address and port") {
  CHECK(backend_name(*parse_endpoint("198.51.100.11:8080")) == "198.51.100.11-8080");
  CHECK(backend_name(*parse_endpoint("[2001:db8::1]:8080")) == "2001-db8--1-8080");
  for (const char* text : {"[::5]:80", "[2001:db8::]:80", "[1:2:3:4:5:6:7:8]:65535", "[::1.2.3.4]:1"})
    CHECK(name_fault(backend_name(*parse_endpoint(text))).empty());
}

}  // namespace
