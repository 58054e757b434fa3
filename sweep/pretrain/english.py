"""Lists common English words, so that a small tokenizer splits more than its captions sensibly."""

COMMON_WORDS = """
a an and are as at be black blue brown but by clear dark for from golden good gray green has have
her his in into is it its light like long made many more new no not of off old on one or orange
other out over photo picture image drawing painting sketch icon pink purple red round short silver
small big large little some that the their there this three two type kind class category to under
up down left right very white wild with yellow young without
air airplane airport ancient animal ant antelope apple arm army arrow art baby back bag baker ball
balloon banana band bank barn base basket bat bath beach bean bear beaver bed bee beetle bell belt
bench bicycle bike bird biscuit board boat body bone book boot bottle bowl box boy branch bread
bridge broom brush bubble bucket bug building bull bus bush butter butterfly button cabinet cable
cactus cage cake camel camera camp can candle candy cap car card carpet carrot cart castle cat
caterpillar cattle cave ceiling cello chain chair cheese cherry chicken child chocolate church
circle city clock cloth clothing cloud coast coat coffee coin cold collar color computer container
cookie cooking coral corn corner cotton couch country court cow crab crane cream crocodile crop
cross crow crown cup curtain dance deer desert desk diamond digit dinner dinosaur dish dog doll
dolphin donkey door dragon drawer dress drink drum duck eagle ear earth egg eight electric elephant
engine eye fabric face factory family fan farm farmer feather fence ferry field finger fire fish
five flag flat flower fly food foot football forest fork fountain four fox frame frog front fruit
full fur furniture game garden gate giraffe girl glass globe glove goat gold golf goose grape grass
grasshopper guitar gun hair hammer hand happy hard harbor hat hawk head heart heavy helmet herb high
highway hill home honey horn horse hospital hot hotel house human hut ice industrial insect
instrument iron island jacket jar jelly judge juice kangaroo kettle key keyboard king kitchen kite
knife ladder lady lake lamp land leaf leather leg lemon leopard letter library lighthouse line lion
lip liquid lizard lobster lock machine magnet mail man map market mask meat medal medical melon
metal milk mirror money monkey moon motor mountain mouse mouth mower mug museum mushroom music nail
neck necklace needle nest net night nine nose number nurse nut oak ocean office oil onion open oven
owl ox pan panda panel pants paper park parrot party pasture path peach pear pen pencil penguin
people pepper permanent person phone piano pig pillow pilot pine pipe pizza place plane plant
plastic plate player pocket police pool poppy pot potato pot powder pumpkin purse queen rabbit race
rack radio rail rain rat reptile residential rice ring river road robot rock rocket roll roof room
rope rose rug sad sail salad salt sand sandwich saw scarf school science scissors scooter screen
screw sea seal seat seed seven shark sheep sheet shell shelf ship shirt shoe shop shore shovel
shower sign singer sink six skateboard ski skin skirt sky sleeping snail snake snow soap soccer sock
sofa soft soldier soup spaghetti spider spoon sport spotted spring square squirrel stadium stage
stair stamp star station steel stone store storm stove strawberry street striped sugar suit summer
sun swan sweater sweet swim sword table tail tank tea teacher television temple ten tennis tent
texture thing tie tiger tile toad toast toilet tomato tool tooth tower town toy tractor traffic
train tray tree triangle trousers truck trumpet tube turkey turtle umbrella uniform vase vegetable
vehicle vest village violin wall wallet warm washing watch water wave weapon web whale wheat wheel
whistle window wine wing winter wolf woman wood wooden wool work world worm yard zebra zero
baking blowing boiling building burning crying cutting dancing diving driving eating falling fishing
flying growing hanging holding jumping laughing lifting looking playing reading riding running
sailing singing sitting sleeping smiling standing swimming talking throwing walking wearing working
writing
"""
"""Separated by spaces: function words, and things that are often photographed or drawn."""
