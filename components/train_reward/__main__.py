from memozy.stages import main

main("train_reward")
