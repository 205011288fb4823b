// ImageNet's class names: the table against facts that are known from elsewhere, and the look-up by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "headstart/models.h"

namespace headstart {
namespace {

TEST(ImageNet, HasAThousandClassesEachWithNames) {
  ASSERT_EQ(imagenet_classes().size(), 1000U);
  for (const std::vector<std::string>& names : imagenet_classes()) {
    ASSERT_FALSE(names.empty());
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size()) << names.front();
    for (const std::string& name : names) {
      EXPECT_FALSE(name.empty() || name.front() == ' ' || name.back() == ' ') << names.front();
      EXPECT_EQ(name.find(','), std::string::npos) << name;
    }
  }
}

// Indices as torchvision, Keras and the book's text have them; 713 is what the book's listing takes for the hot dog.
TEST(ImageNet, NamesTheClassesAsEverybodyDoes) {
  const std::map<int, const char*> known = {{0, "tench"},
                                            {1, "goldfish"},
                                            {2, "great white shark"},
                                            {7, "cock"},
                                            {22, "bald eagle"},
                                            {65, "sea snake"},
                                            {84, "peacock"},
                                            {99, "goose"},
                                            {100, "black swan"},
                                            {130, "flamingo"},
                                            {151, "Chihuahua"},
                                            {207, "golden retriever"},
                                            {235, "German shepherd"},
                                            {258, "Samoyed"},
                                            {281, "tabby"},
                                            {282, "tiger cat"},
                                            {285, "Egyptian cat"},
                                            {291, "lion"},
                                            {292, "tiger"},
                                            {323, "monarch"},
                                            {340, "zebra"},
                                            {386, "African elephant"},
                                            {388, "giant panda"},
                                            {404, "airliner"},
                                            {409, "analog clock"},
                                            {417, "balloon"},
                                            {463, "bucket"},
                                            {508, "computer keyboard"},
                                            {555, "fire engine"},
                                            {609, "jeep"},
                                            {620, "laptop"},
                                            {671, "mountain bike"},
                                            {701, "parachute"},
                                            {713, "photocopier"},
                                            {779, "school bus"},
                                            {817, "sports car"},
                                            {849, "teapot"},
                                            {920, "traffic light"},
                                            {930, "French loaf"},
                                            {933, "cheeseburger"},
                                            {934, "hotdog"},
                                            {948, "Granny Smith"},
                                            {950, "orange"},
                                            {954, "banana"},
                                            {963, "pizza"},
                                            {980, "volcano"},
                                            {985, "daisy"},
                                            {999, "toilet tissue"}};
  for (const auto& [index, name] : known) EXPECT_EQ(imagenet_classes().at(static_cast<std::size_t>(index)).front(), name) << index;
  EXPECT_EQ(imagenet_classes()[934], (std::vector<std::string>{"hotdog", "hot dog", "red hot"}));
}

// The synonyms' sets are those of WordNet, where three first names stand twice.
TEST(ImageNet, FirstNamesAreUniqueButForTheKnownThree) {
  std::map<std::string, std::vector<int>> twice;
  for (const std::vector<std::string>& names : imagenet_classes()) {
    const std::vector<int> found = find_classes(imagenet_classes(), names.front());
    if (found.size() != 1) twice[names.front()] = found;
  }
  const std::map<std::string, std::vector<int>> known = {
      {"crane", {134, 517}}, {"maillot", {638, 639}}, {"Cardigan", {264, 474}}, {"cardigan", {264, 474}}};
  EXPECT_EQ(twice, known);
}

TEST(FindClasses, IgnoresCaseSpacesHyphensAndUnderscores) {
  for (const char* const name : {"hotdog", "Hot Dog", "hot-dog", "HOT_DOG", "red hot", "redhot"}) {
    EXPECT_EQ(find_classes(imagenet_classes(), name), std::vector<int>{934}) << name;
  }
  EXPECT_EQ(find_classes(imagenet_classes(), "Ailuropoda melanoleuca"), std::vector<int>{388});
  for (const char* const name : {"not-hotdog", "hotdogs", "", "-", "hotdog, hot dog"}) {
    EXPECT_TRUE(find_classes(imagenet_classes(), name).empty()) << name;
  }
}

TEST(FindClasses, PrefersTheFirstNameAndTellsOfSeveral) {
  EXPECT_EQ(find_classes(imagenet_classes(), "missile"), std::vector<int>{657});  // a synonym of 744, projectile
  EXPECT_EQ(find_classes(imagenet_classes(), "panda"), (std::vector<int>{387, 388}));
  const std::vector<std::vector<std::string>> classes = {{"a b"}, {"c", "A-B"}, {"ab"}, {}};
  EXPECT_EQ(find_classes(classes, "ab"), (std::vector<int>{0, 2}));
  EXPECT_EQ(find_classes(classes, "C"), std::vector<int>{1});
}

}  // namespace
}  // namespace headstart
