//! A worker: neighbouring sections, the interfaces on top of them, and its steps with them.

use std::collections::VecDeque;
use std::time::Instant;

use burn::tensor::{Device, Tensor};

use super::member::{Halt, Log, Member};
use super::messages::{Answer, Lesson, Message, Target, ToAbove, ToBelow, matrix};
use crate::batch::Batch;
use crate::credit::Credit;
use crate::feedforward::{Group, Sent};
use crate::interface::Prediction;
use crate::learner::{Doing, Metric};
use crate::loss::Reduction;
use crate::pass::{Input, Pass};
use crate::place::Coming;
use crate::unlock::{GuessedMessage, InputModel};

/// How workers learn without waiting for those above them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub credit: Credit,
    /// How many messages of a worker may be without an answer when its highest section learns.
    pub depth: usize,
    /// Whether answers are taken as late as that allows, even if they have come.
    pub is_exact: bool,
}

/// A worker whose sections learn without waiting for those above them.
pub(super) struct Worker<'a> {
    pub(super) log: Log,
    pub(super) manner: Manner,
    pub(super) group: Group<'a>,
    /// Its lowest section, counted from that of the chain.
    pub(super) first: usize,
    below: Option<Below<'a>>,
    above: Option<Above>,
}

/// The worker below, seen from here.
struct Below<'a> {
    queues: ToBelow,
    /// What makes its messages up, if inputs are synthetic.
    input_model: Option<&'a mut InputModel>,
    reduction: Reduction,
    /// Guesses whose message has not come, from the oldest on.
    guesses: VecDeque<Guess>,
    /// What learning rates were multiplied by when the newest of them was made.
    rate_factor: f64,
}

/// A guess of a message that is to come.
struct Guess {
    step: usize,
    guess: GuessedMessage,
    /// Whether the model learns from the message: not if the section below rests.
    learns: bool,
}

/// The worker above, seen from here.
struct Above {
    queues: ToAbove,
    /// Messages that have no answer, from the oldest on.
    kept: VecDeque<Kept>,
    /// What learning rates were multiplied by in the step of the newest of them.
    ///
    /// A late answer is learned at this rate: it moves today's parameters, and by how much they may
    /// move is of today as well. An answer to the newest message finds the rate of its own step.
    rate_factor: f64,
    /// When that was sent.
    sent: Instant,
}

/// What is kept of a message until its answer comes.
struct Kept {
    step: usize,
    /// When the message was sent.
    sent: Instant,
    recipient: Recipient,
}

/// Who learns from an answer.
pub(super) enum Recipient {
    /// The synthesizer, by what it has predicted; none if it rests.
    Synthesizer(Option<Box<Prediction>>),
    /// The sections: their passes, from the bottom up, and which of them learn.
    Sections {
        passes: Vec<Pass>,
        learners: Vec<bool>,
    },
}

impl<'a> Worker<'a> {
    pub fn new(log: Log, manner: Manner, group: Group<'a>, first: usize) -> Self {
        Self {
            log,
            manner,
            group,
            first,
            below: None,
            above: None,
        }
    }

    /// Puts it on top of another one.
    pub fn above(mut self, queues: ToBelow, input_model: Option<&'a mut InputModel>) -> Self {
        self.below = Some(Below {
            queues,
            input_model,
            reduction: self.group.reduction(),
            guesses: VecDeque::new(),
            rate_factor: 1.0,
        });
        self
    }

    /// Puts it below another one.
    pub fn below(mut self, queues: ToAbove) -> Self {
        self.above = Some(Above {
            queues,
            kept: VecDeque::new(),
            rate_factor: 1.0,
            sent: Instant::now(),
        });
        self
    }
}

impl Member for Worker<'_> {
    fn take_step(&mut self, lesson: Lesson) -> Result<(), Halt> {
        match self.manner.credit {
            Credit::Delayed => self.take_delayed_step(lesson),
            _ => self.take_decoupled_step(lesson),
        }
    }

    fn finish(&mut self) -> Result<(), Halt> {
        self.catch_up(0)?;
        self.hear_messages(0)
    }

    fn device(&self) -> Option<Device> {
        self.group.device()
    }

    fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    fn into_log(self) -> Log {
        self.log
    }
}

impl Worker<'_> {
    /// One decoupled step, as [`Chain::step`](crate::Chain::step) takes it; but below the lowest
    /// section and above the highest there are other workers.
    fn take_decoupled_step(&mut self, lesson: Lesson) -> Result<(), Halt> {
        let learners = &lesson.learners[self.first..];
        let below_learns = self.first > 0 && lesson.learners[self.first - 1];
        let batch = self.group.bring(lesson.batch, self.sees_input());
        self.group.set_rate_factor(self.log.rate_factor);
        let mut input = self.receive(&batch, below_learns)?;
        let mut below: Option<Sent> = None;
        let highest = self.group.len() - 1;
        for i in 0..=highest {
            let section = Some(self.first + i);
            let mut begun = self.log.waited.trace.begin();
            let pass = self.group.pass(i, input);
            if i == highest {
                self.log.waited.trace.end(begun, Doing::Section, section);
                self.send(pass.output.clone())?;
                self.catch_up(self.manner.depth - 1)?;
                begun = self.log.waited.trace.begin();
            }
            let done = self.group.section_step(i, pass, &batch, learners);
            self.log.waited.trace.end(begun, Doing::Section, section);
            match below {
                Some(below) => self.learn(i - 1, below, done.target, learners[i - 1]),
                None => self.answer_now(done.target, below_learns)?,
            }
            let sum = Metric::sum_of(done.output.clone());
            self.log.note(Metric::Output(self.first + i), sum);
            let Some(sent) = done.sent else {
                let loss = self.group.mean_loss(done.output, &batch);
                self.log.note(Metric::Loss, loss);
                return Ok(());
            };
            input = sent.received();
            below = Some(sent);
        }
        if let Some(sent) = below {
            let prediction = sent.prediction.map(Box::new);
            self.keep(Recipient::Synthesizer(prediction));
        }
        Ok(())
    }

    /// Whether it needs the input of the network.
    pub(super) fn sees_input(&self) -> bool {
        let below = self.below.as_ref();
        below.is_none_or(|below| below.input_model.is_some())
    }

    /// What the lowest section runs on: the data, a message from below, or a guess of it.
    pub(super) fn receive(&mut self, batch: &Batch, below_learns: bool) -> Result<Input, Halt> {
        self.hear_messages(self.manner.depth - 1)?;
        let Some(below) = &mut self.below else {
            return Ok(Input::from(batch.input.clone()));
        };
        let Some(model) = &below.input_model else {
            let message = self.log.waited.receive(&mut below.queues.messages)?;
            assert_eq!(message.step, self.log.step, "messages come in order");
            return Ok(Input::Message(matrix(message.output)?));
        };
        let guess = model.guess(&batch.input);
        let message = guess.message.clone();
        below.rate_factor = self.log.rate_factor;
        below.guesses.push_back(Guess {
            step: self.log.step,
            guess,
            learns: below_learns,
        });
        Ok(Input::Message(message))
    }

    /// Sends down what the message of this step is answered with.
    fn answer_now(&mut self, target: Option<Tensor<2>>, below_learns: bool) -> Result<(), Halt> {
        let newest = self.below.as_ref().and_then(|below| below.guesses.back());
        // A section that rests has sent no message: what was learned is of the guess.
        let guess = newest.filter(|_| !below_learns);
        let at = guess.map(|guess| guess.guess.message.clone());
        self.answer(self.log.step, target, at)
    }

    /// Sends down what the message of a step is answered with: a gradient, if its section above has
    /// learned, and where it was taken, if not at the message.
    pub(super) fn answer(
        &mut self,
        step: usize,
        target: Option<Tensor<2>>,
        at: Option<Tensor<2>>,
    ) -> Result<(), Halt> {
        let Some(below) = &mut self.below else {
            return Ok(());
        };
        let answer = Answer {
            step,
            target: target.map(|delta| Target {
                delta: Coming::sent_for(delta),
                at: at.map(Coming::sent_for),
            }),
        };
        Ok(below.queues.answers.send(answer)?)
    }

    /// Sends the message of this step up, if anybody is there.
    pub(super) fn send(&mut self, output: Tensor<2>) -> Result<(), Halt> {
        let Some(above) = &mut self.above else {
            return Ok(());
        };
        let message = Message {
            step: self.log.step,
            output: Coming::sent_for(output),
        };
        above.queues.messages.send(message)?;
        above.sent = Instant::now();
        Ok(())
    }

    /// Keeps who will learn from the answer to the message of this step.
    pub(super) fn keep(&mut self, recipient: Recipient) {
        if let Some(above) = &mut self.above {
            above.rate_factor = self.log.rate_factor;
            above.kept.push_back(Kept {
                step: self.log.step,
                sent: above.sent,
                recipient,
            });
        }
    }

    /// Lets who learns from them learn from the answers that have come, and waits until no more than
    /// `most` messages are without one.
    pub(super) fn catch_up(&mut self, most: usize) -> Result<(), Halt> {
        while let Some((kept, answer)) = self.next_answer(most)? {
            match (kept.recipient, answer.target) {
                (Recipient::Sections { passes, learners }, target) => {
                    if target.is_some() {
                        self.note_staleness(kept.sent);
                    }
                    let delta = target.map(|target| matrix(target.delta)).transpose()?;
                    self.go_back(kept.step, passes, &learners, delta)?;
                }
                (Recipient::Synthesizer(Some(prediction)), Some(target)) => {
                    let prediction = match target.at {
                        Some(at) => prediction.at(matrix(at)?),
                        None => *prediction,
                    };
                    self.note_staleness(kept.sent);
                    self.regress(kept.step, prediction, matrix(target.delta)?);
                }
                (Recipient::Synthesizer(_), _) => {}
            }
        }
        Ok(())
    }

    /// Lets the synthesizer on top learn the gradient at the message of a step.
    fn regress(&mut self, step: usize, prediction: Prediction, delta: Tensor<2>) {
        let highest = self.first + self.group.len() - 1;
        let begun = self.log.waited.trace.begin();
        self.group.set_rate_factor_on_top(self.rate_factor_above());
        let residual = self.group.learn_on_top(prediction, delta);
        let loss = Metric::loss_of(residual);
        self.log
            .notes
            .take(step, Metric::Synthesizer(highest), loss);
        let trace = &mut self.log.waited.trace;
        trace.end(begun, Doing::Interface, Some(highest));
    }

    /// Takes down how late the answer is that has been taken last, to a message sent then.
    fn note_staleness(&mut self, sent: Instant) {
        let unanswered = self.above.as_ref().map_or(0, |above| above.kept.len());
        self.log.staleness.note(unanswered, sent.elapsed());
    }

    /// The rate at which an answer from above is learned.
    fn rate_factor_above(&self) -> f64 {
        let above = self.above.as_ref();
        above.map_or(self.log.rate_factor, |above| above.rate_factor)
    }

    /// The next answer, with what was kept for it; none if it has not come and no more than `most`
    /// messages are without one.
    fn next_answer(&mut self, most: usize) -> Result<Option<(Kept, Answer)>, Halt> {
        let Some(above) = &mut self.above else {
            return Ok(None);
        };
        // Answers may come before what is kept for them, with synthetic inputs even before their
        // messages are sent.
        if above.kept.is_empty() {
            return Ok(None);
        }
        let must = above.kept.len() > most;
        if self.manner.is_exact && !must {
            return Ok(None);
        }
        let answer = self
            .log
            .waited
            .receive_if_any(&mut above.queues.answers, must)?;
        let found = answer.and_then(|answer| Some((above.kept.pop_front()?, answer)));
        if let Some((kept, answer)) = &found {
            assert_eq!(kept.step, answer.step, "answers come in order");
        }
        Ok(found)
    }

    /// Lets the input model learn from the messages that have come, and waits until no more than
    /// `most` guesses are without theirs.
    fn hear_messages(&mut self, most: usize) -> Result<(), Halt> {
        let Some(below) = &mut self.below else {
            return Ok(());
        };
        let Some(model) = &mut below.input_model else {
            return Ok(());
        };
        while let Some(oldest) = below.guesses.front() {
            let must = below.guesses.len() > most;
            if self.manner.is_exact && !must {
                break;
            }
            let messages = &mut below.queues.messages;
            let Some(message) = self.log.waited.receive_if_any(messages, must)? else {
                break;
            };
            assert_eq!(oldest.step, message.step, "messages come in order");
            let Some(guess) = below.guesses.pop_front().filter(|guess| guess.learns) else {
                continue;
            };
            let begun = self.log.waited.trace.begin();
            model.model_mut().set_rate_factor(below.rate_factor);
            let message = matrix(message.output)?;
            let residual = model.learn(guess.guess, message, below.reduction);
            let trace = &mut self.log.waited.trace;
            trace.end(begun, Doing::Interface, Some(self.first - 1));
            let metric = Metric::InputModel(self.first - 1);
            self.log
                .notes
                .take(guess.step, metric, Metric::loss_of(residual));
        }
        Ok(())
    }

    /// Lets the interface on top of section `i` learn, which is not the highest one.
    fn learn(&mut self, i: usize, sent: Sent, target: Option<Tensor<2>>, was_sent: bool) {
        let begun = self.log.waited.trace.begin();
        let (residual, input_residual) = self.group.learn(i, sent, target, was_sent);
        let at = self.first + i;
        self.log.waited.trace.end(begun, Doing::Interface, Some(at));
        let losses = [
            (Metric::Synthesizer(at), residual),
            (Metric::InputModel(at), input_residual),
        ];
        for (metric, residual) in losses {
            if let Some(residual) = residual {
                self.log.note(metric, Metric::loss_of(residual));
            }
        }
    }
}
