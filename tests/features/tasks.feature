Feature: Tasks
  Set, do, if, then, switch, for, wait: what each gives and where the flow goes.

  Scenario: Set replaces the data
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: set-replaces-the-data, version: '1.0.0' }
    do:
      - first: { set: { a: 1, b: 2 } }
      - second: { set: { c: 3 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    c: 3
    """

  Scenario: A task whose condition is false is passed over with everything it has
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-task-whose-condition-is-false-is-passed-over-wit, version: '1.0.0' }
    do:
      - skipped: { if: .no, set: { x: 1 }, output: { as: '{ y: 1 }' }, export: { as: '{ z: 1 }' }, then: end }
      - look: { set: { data: '${ . }', context: '${ $context }' } }
    """
    And given the workflow input is:
    """yaml
    no: false
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    data: { no: false }
    context: {}
    """
    And skipped should not run
    And look should run first

  Scenario: Then continue, and then a task
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: then-continue-and-then-a-task, version: '1.0.0' }
    do:
      - a: { set: { ran: [ a ] }, then: continue }
      - b: { set: { ran: '${ .ran + ["b"] }' }, then: d }
      - c: { set: { ran: '${ .ran + ["c"] }' } }
      - d: { set: { ran: '${ .ran + ["d"] }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    ran: [ a, b, d ]
    """
    And c should not run
    And d should run after b

  Scenario: Then end ends the whole workflow from inside
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: then-end-ends-the-whole-workflow-from-inside, version: '1.0.0' }
    do:
      - outer:
          do:
            - inner: { set: { x: 1 }, then: end }
            - never: { set: { x: 2 } }
      - neither: { set: { x: 3 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    x: 1
    """
    And never should not run
    And neither should not run

  Scenario: Then exit leaves the task list
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: then-exit-leaves-the-task-list, version: '1.0.0' }
    do:
      - outer:
          do:
            - inner: { set: { x: 1 }, then: exit }
            - never: { set: { x: 2 } }
      - after: { set: { x: '${ .x + 10 }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    x: 11
    """
    And never should not run

  Scenario: Then exit in a loop ends the iteration
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: then-exit-in-a-loop-ends-the-iteration, version: '1.0.0' }
    do:
      - each:
          for: { each: n, in: '[1, 2, 3]' }
          do:
            - add: { set: { seen: '${ .seen + [$n] }' }, then: exit }
            - never: { set: { seen: [] } }
    """
    And given the workflow input is:
    """yaml
    seen: []
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    seen: [ 1, 2, 3 ]
    """
    And add should run 3 times
    And never should not run

  Scenario: A target that is nowhere is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-target-that-is-nowhere-is-refused, version: '1.0.0' }
    do:
      - a: { set: { x: 1 }, then: bb }
      - b: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1030

  Scenario: A target in another list is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-target-in-another-list-is-refused, version: '1.0.0' }
    do:
      - a: { do: [ { inner: { set: { x: 1 } } } ] }
      - b: { set: { x: 1 }, then: inner }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1042

  Scenario: Two tasks of one name are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: two-tasks-of-one-name-are-refused, version: '1.0.0' }
    do:
      - a: { set: { x: 1 } }
      - a: { set: { x: 2 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1031

  Scenario: A switch takes the first case that holds
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-switch-takes-the-first-case-that-holds, version: '1.0.0' }
    do:
      - choose:
          switch:
            - one: { when: .n > 1, then: first }
            - two: { when: .n > 0, then: second }
      - first: { set: { took: first }, then: end }
      - second: { set: { took: second }, then: end }
    """
    And given the workflow input is:
    """yaml
    n: 5
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    took: first
    """
    And second should not run

  Scenario: A switch without a match goes on as it says and gives its input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-switch-without-a-match-goes-on-as-it-says-and-gi, version: '1.0.0' }
    do:
      - choose:
          switch:
            - one: { when: .n > 1, then: first }
          then: last
      - first: { set: { took: first } }
      - last: { set: { took: '${ .n }' } }
    """
    And given the workflow input is:
    """yaml
    n: 0
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    took: 0
    """
    And first should not run

  Scenario: For gives the output of one iteration to the next
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: for-gives-the-output-of-one-iteration-to-the-next, version: '1.0.0' }
    do:
      - each:
          for: { each: n, in: .numbers, at: i }
          do:
            - add: { set: { sum: '${ (.sum // 0) + $n }', last: '${ $i }' } }
    """
    And given the workflow input is:
    """yaml
    numbers: [ 1, 2, 3 ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    sum: 6
    last: 2
    """

  Scenario: For over nothing gives its input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: for-over-nothing-gives-its-input, version: '1.0.0' }
    do:
      - each:
          for: { each: n, in: .numbers }
          do:
            - add: { set: { sum: 1 } }
    """
    And given the workflow input is:
    """yaml
    numbers: []
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    numbers: []
    """
    And add should not run

  Scenario: While is looked at before each iteration
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: while-is-looked-at-before-each-iteration, version: '1.0.0' }
    do:
      - each:
          for: { each: n, in: '[1, 2, 3, 4]' }
          while: (.sum // 0) < 3
          do:
            - add: { set: { sum: '${ (.sum // 0) + $n }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    sum: 3
    """
    And add should run 2 times

  Scenario: A loop's variables end with it
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-loop-s-variables-end-with-it, version: '1.0.0' }
    do:
      - each:
          for: { each: n, in: '[1]' }
          do: [ { add: { set: { x: '${ $n }' } } } ]
      - after: { set: { x: '${ $n }' } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1021

  Scenario: Loops stand inside loops
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: loops-stand-inside-loops, version: '1.0.0' }
    do:
      - outer:
          for: { each: a, in: '[1, 2]' }
          do:
            - inner:
                for: { each: b, in: '[10, 20]', at: j }
                do:
                  - add: { set: { seen: '${ .seen + [$a * $b + $index + $j] }' } }
    """
    And given the workflow input is:
    """yaml
    seen: []
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    seen: [ 10, 21, 21, 42 ]
    """
    And add should run 4 times

  Scenario: Wait gives its input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: wait-gives-its-input, version: '1.0.0' }
    do:
      - nap: { wait: PT0.05S }
    """
    And given the workflow input is:
    """yaml
    x: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    x: 1
    """

  @clock
  Scenario: A long wait survives a restart and ends in time
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-long-wait-survives-a-restart-and-ends-in-time, version: '1.0.0' }
    do:
      - sleep: { wait: { days: 1, hours: 2 } }
      - after: { set: { woke: true } }
    """
    When the workflow is executed
    And the clock advances P1D
    And the runtime restarts
    And the clock advances PT2H
    Then the workflow should complete with output:
    """yaml
    woke: true
    """

  @clock
  Scenario: A wait does not end early
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-wait-does-not-end-early, version: '1.0.0' }
    do:
      - sleep: { wait: PT2H }
    """
    When the workflow is executed
    And the clock advances PT1H
    Then the workflow should wait

  Scenario: A wait may be computed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-wait-may-be-computed, version: '1.0.0' }
    do:
      - nap: { wait: '${ { milliseconds: .ms } }' }
      - after: { set: { slept: '${ .ms }' } }
    """
    And given the workflow input is:
    """yaml
    ms: 20
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    slept: 20
    """

  Scenario: A loop goes through a list that is written out
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.1.0', namespace: omnihub, name: a-loop-goes-through-a-list-that-is-written-out, version: '1.0.0' }
    do:
      - each:
          for: { each: pet, in: [ { age: 3 }, { age: '${ .first }' } ] }
          do: [ { add: { set: '${ { first: .first, sum: ((.sum // 0) + $pet.age) } }' } } ]
    """
    And the workflow input is:
    """yaml
    first: 4
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    first: 4
    sum: 7
    """
